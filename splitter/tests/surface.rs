//! The surface that users touch: the real binary, asked in every way, against a daemon of fixed answers.
//!
//! Texts are compared with the files in `tests/data/surface`; `SPLITTER_BLESS=1` writes them anew.

mod surface {
    mod api;
    mod changes;
    mod configuration;
    mod daemon;
    mod documentation;
    mod fake;
    mod golden;
    mod json;
    mod misbehaving;
    mod process;
    mod refused;
    mod tables;
    mod terminal;
    mod views;
    mod waiting;
}

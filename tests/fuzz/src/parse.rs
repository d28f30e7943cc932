//! See `splitter_tests::cases::fuzz::parse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| splitter_tests::cases::fuzz::parse(input));

//! Texts as they should be, kept in files.

use std::path::Path;

/// Compares a text with the file of that name; with `SPLITTER_BLESS=1`, makes the file.
pub(super) fn check(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/surface");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("SPLITTER_BLESS").is_some_and(|v| v == "1") {
        std::fs::create_dir_all(&folder).expect("the folder");
        std::fs::write(&file, text).expect("the file");
        return;
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        text == expected,
        "{} is not what is printed (SPLITTER_BLESS=1 accepts it)\n--- expected\n{expected}\n--- printed\n{text}",
        file.display()
    );
}

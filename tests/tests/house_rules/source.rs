//! A file as the rules see it: its text, and its code with comments, strings and tests blanked out.

/// A file.
pub(crate) struct Source {
    /// Path from the root of the workspace.
    pub(crate) path: String,
    /// As it stands.
    pub(crate) text: String,
    /// Comments, strings and `#[cfg(test)]` items replaced by spaces; the same lines. Empty where it is not Rust.
    pub(crate) code: String,
}

impl Source {
    /// Blanks what is not code.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") {
            without_tests(&blank(text))
        } else {
            String::new()
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
        }
    }

    /// Lines of code, counted from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Lines of text, counted from 1.
    pub(crate) fn text_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }

    /// Lines of code that contain one of `phrases`, each standing alone as words.
    pub(crate) fn with_phrase(&self, phrases: &[&str]) -> Vec<(usize, String)> {
        self.code_lines()
            .filter_map(|(number, line)| {
                let found = phrases.iter().find(|phrase| has_phrase(line, phrase))?;
                Some((number, format!("`{found}`")))
            })
            .collect()
    }
}

/// Whether `phrase` occurs in `line` with no letter, digit or underscore next to its own letters at either end.
pub(crate) fn has_phrase(line: &str, phrase: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(phrase).any(|(at, found)| {
        let before = line[..at].chars().next_back();
        let after = line[at + found.len()..].chars().next();
        let open = !phrase.starts_with(word) || !before.is_some_and(word);
        let close = !phrase.ends_with(word) || !after.is_some_and(word);
        open && close
    })
}

/// Replaces comments and the insides of strings and character literals by spaces.
fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = token(rest, out.chars().next_back());
        match length {
            Some(length) => {
                out.extend(
                    rest[..length]
                        .chars()
                        .map(|c| if c == '\n' { '\n' } else { ' ' }),
                );
                rest = &rest[length..];
            }
            None => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out
}

/// Length of the comment or literal that `rest` starts with, if it does.
fn token(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    if rest.starts_with('\'') {
        // A lifetime has no closing quote right after its first character.
        let mut chars = rest.chars().skip(1);
        let first = chars.next()?;
        return (first == '\\' || chars.next() == Some('\'')).then(|| quoted(rest, '\''));
    }
    let starts_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if starts_word && rest.starts_with('r') {
        return raw(rest);
    }
    None
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`; `r#type` is an identifier.
fn raw(rest: &str) -> Option<usize> {
    let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
    if !rest[1 + hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = 2 + hashes;
    Some(
        rest[inside..]
            .find(&end)
            .map_or(rest.len(), |at| inside + at + end.len()),
    )
}

/// Blanks the item after each `#[cfg(test)]`: up to its closing brace, or its semicolon.
fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    while let Some(start) = out.find(MARK) {
        let mut depth = 0;
        let mut end = out.len();
        for (at, c) in out[start..].char_indices().skip(MARK.len()) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth <= 0 && (c == '}' || c == ';') {
                end = start + at + 1;
                break;
            }
        }
        let blanked: String = out[start..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        out.replace_range(start..end, &blanked);
    }
    out
}

#[test]
fn comments_strings_and_tests_are_not_code() {
    let text = "let a = \"unsafe \\\" {\"; // unsafe\n/* unsafe /* x */ unsafe */ let b = 'u';\n\
                let c = r#\"unsafe\"#; fn f<'a>(x: &'a str) {}\n\
                #[cfg(test)]\nmod tests { fn g() { unsafe {} } }\nlet d = 1;\n";
    let source = Source::new("x.rs", text);
    assert!(!source.code.contains("unsafe"), "{}", source.code);
    assert!(
        source.code.contains("fn f<'a>(x: &'a str) {}"),
        "{}",
        source.code
    );
    assert!(source.code.contains("let d = 1;"), "{}", source.code);
    assert_eq!(source.code.lines().count(), text.lines().count());
}

#[test]
fn phrases_are_whole_words() {
    assert!(has_phrase("use aya::Ebpf;", "aya"));
    assert!(!has_phrase("use playa::x;", "aya"));
    assert!(has_phrase("eprintln!(1)", "eprintln!"));
    assert!(!has_phrase("eprintln!(1)", "println!"));
}

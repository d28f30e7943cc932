//! Links of the documentation.

use std::path::Path;

use crate::source::Source;

/// Links that lead nowhere.
pub(crate) fn dead_links(file: &Source, root: &Path) -> Vec<(usize, String)> {
    let folder = root.join(Path::new(&file.path).parent().unwrap_or(Path::new("")));
    let mut found = Vec::new();
    let mut fenced = false;
    for (number, line) in file.text_lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between back quotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        for (at, _) in prose.match_indices("](") {
            let link = prose[at + 2..].split(')').next().unwrap_or_default();
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root.join(&file.path)
            } else {
                folder.join(path)
            };
            let there = target.exists()
                && (heading.is_empty()
                    || std::fs::read_to_string(&target)
                        .is_ok_and(|text| headings(&text).any(|anchor| anchor == heading)));
            if !there {
                found.push((number, format!("`{link}`")));
            }
        }
    }
    found
}

/// Anchors as GitHub makes them: lower case, punctuation gone, spaces to dashes.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
}

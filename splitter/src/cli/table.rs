//! Columns that line up, also where cells are coloured.

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// A table under construction.
#[derive(Debug)]
pub(super) struct Table {
    align: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a heading that starts with `>` is one of numbers.
    pub(super) fn new(headings: &[&str]) -> Self {
        let align = headings.iter().map(|h| match h.strip_prefix('>') {
            Some(_) => Align::Right,
            None => Align::Left,
        });
        let align = align.collect();
        let heading = headings
            .iter()
            .map(|h| h.trim_start_matches('>').to_owned());
        Self {
            align,
            rows: vec![heading.collect()],
        }
    }

    /// Adds a row; cells that are left out are empty.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text: two spaces between columns, none at the end of a line.
    pub(super) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.align.len())
            .map(|i| {
                self.rows
                    .iter()
                    .filter_map(|r| r.get(i))
                    .map(|c| width(c))
                    .max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate().take(self.align.len()) {
                let room = " ".repeat(widths[i] - width(cell));
                match self.align[i] {
                    Align::Left => line += &format!("{cell}{room}  "),
                    Align::Right => line += &format!("{room}{cell}  "),
                }
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// Columns that a text takes on the screen: colour sequences take none.
fn width(text: &str) -> usize {
    let mut columns = 0;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.find(|c| *c == 'm');
        } else {
            columns += 1;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::{Table, width};

    #[test]
    fn columns_line_up_whatever_the_colours() {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row(["\x1b[1mweb\x1b[0m".into(), "1,000".into()]);
        table.row(["a longer one".into(), "7".into()]);
        table.row(["short".into()]);
        assert_eq!(
            table.render(),
            "NAME          COUNT\n\x1b[1mweb\x1b[0m           1,000\na longer one      7\nshort\n"
        );
        assert_eq!(width("\x1b[1mweb\x1b[0m"), 3);
    }
}

//! Lines of text with colours and columns.

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Headings.
    Dim,
    /// What matters.
    Bold,
    Good,
    Warn,
    Bad,
}

impl Style {
    /// "Select graphic rendition" of ECMA-48.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Dim => "\x1b[2m",
            Self::Bold => "\x1b[1m",
            Self::Good => "\x1b[1;32m",
            Self::Warn => "\x1b[1;33m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// Pieces of text beside each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Vec<(Style, String)>);

impl Line {
    /// Adds a piece.
    #[must_use]
    pub(super) fn and(mut self, style: Style, text: impl AsRef<str>) -> Self {
        // What comes from elsewhere must not steer the terminal.
        let clean = text
            .as_ref()
            .chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter });
        self.0.push((style, clean.collect()));
        self
    }

    fn text(&self, colour: bool, columns: Option<usize>) -> String {
        let mut left = columns.unwrap_or(usize::MAX);
        let mut all = String::new();
        for (style, text) in &self.0 {
            let shown: String = text.chars().take(left).collect();
            left -= shown.chars().count();
            let coloured = colour && *style != Style::Plain && !shown.is_empty();
            let (before, after) = if coloured {
                (style.code(), "\x1b[0m")
            } else {
                ("", "")
            };
            all.extend([before, &shown, after]);
        }
        all.trim_end().to_owned()
    }
}

/// A page of lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Page {
    lines: Vec<Line>,
}

impl Page {
    /// Adds a line.
    pub(super) fn line(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Adds an empty line.
    pub(super) fn space(&mut self) {
        self.lines.push(Line::default());
    }

    /// Adds a table: a heading, then rows. The first column is flush left, the others flush right. What
    /// stands behind a row's cells follows them.
    pub(super) fn table(&mut self, heading: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .chain([heading[column].chars().count()])
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..heading.len()).map(width).collect();
        let aligned = |cells: &[String]| {
            let cells = cells.iter().zip(&widths).enumerate();
            let padded: Vec<String> = cells
                .map(|(column, (cell, width))| match column {
                    0 => format!("{cell:width$}"),
                    _ => format!("{cell:>width$}"),
                })
                .collect();
            padded.join("  ")
        };
        let heading: Vec<String> = heading.iter().map(ToString::to_string).collect();
        self.line(Line::default().and(Style::Dim, aligned(&heading)));
        for row in rows {
            self.line(Line::default().and(Style::Plain, aligned(row)));
        }
    }

    /// Says above everything that what follows is old, and why.
    pub(super) fn trouble(&mut self, why: &str) {
        self.lines.insert(
            0,
            Line::default().and(Style::Bad, format!("NOT UP TO DATE: {why}")),
        );
    }

    /// The page as text. Lines are cut off behind `columns`.
    pub(super) fn text(&self, colour: bool, columns: Option<usize>) -> String {
        let lines = self.lines.iter();
        lines
            .map(|line| line.text(colour, columns) + "\n")
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut page = Page::default();
        let row = |name: &str, figure: &str| vec![name.to_owned(), figure.to_owned()];
        page.table(
            &["VALVE", "RATE"],
            &[row("a/long-name", "1 /s"), row("b", "100 k/s")],
        );
        assert_eq!(
            page.text(false, None),
            "VALVE           RATE\na/long-name     1 /s\nb            100 k/s\n"
        );
    }

    #[test]
    fn colours_are_only_there_if_wanted_and_never_come_from_the_text() {
        let line = Line::default()
            .and(Style::Bad, "up\x1b[31m")
            .and(Style::Plain, "!");
        assert_eq!(line.text(false, None), "up [31m!");
        assert_eq!(line.text(true, None), "\x1b[1;31mup [31m\x1b[0m!");
        assert_eq!(line.text(true, Some(2)), "\x1b[1;31mup\x1b[0m");
    }
}

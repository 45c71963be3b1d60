//! Tables for people.
//!
//! Text in a table may come from a device: control characters are shown as `�`, so that a client id cannot play with
//! the operator's terminal.

use comfy_table::{Attribute, Color, ColumnConstraint, ContentArrangement, Table, presets};

/// One cell: text and how it stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// What it says.
    pub(crate) text: String,
    /// How it stands out.
    pub(crate) tone: Tone,
}

/// How text stands out on a terminal with colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Like most text.
    Plain,
    /// Less important.
    Dim,
    /// All is well.
    Good,
    /// Worth a look.
    Warn,
    /// Needs somebody.
    Bad,
}

/// Something that is one row of a table, or one JSON object.
pub(crate) trait Record: serde::Serialize {
    /// The table's headings.
    const COLUMNS: &'static [&'static str];

    /// The columns, by place, whose text is short and never broken; the others share the room that is left.
    const WHOLE: &'static [usize] = &[];

    /// The row, one cell for each heading.
    fn cells(&self) -> Vec<Cell>;
}

// === impl Cell ===

impl Cell {
    /// A cell with a tone.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self { text: text.into(), tone }
    }

    /// Values one below the other; `-` for none.
    pub(crate) fn list(values: &[String]) -> Self {
        if values.is_empty() { Self::from("-") } else { Self::from(values.join("\n")) }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        text.as_deref().unwrap_or("-").into()
    }
}

// === impl Tone ===

impl Tone {
    /// `text` with the terminal codes for the tone.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            Self::Plain => return text.to_owned(),
            Self::Dim => 2,
            Self::Good => 32,
            Self::Warn => 33,
            Self::Bad => 31,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn style(self, cell: comfy_table::Cell) -> comfy_table::Cell {
        match self {
            Self::Plain => cell,
            Self::Dim => cell.add_attribute(Attribute::Dim),
            Self::Good => cell.fg(Color::DarkGreen),
            Self::Warn => cell.fg(Color::DarkYellow),
            Self::Bad => cell.fg(Color::DarkRed),
        }
    }
}

/// `text` without control characters; line ends stay.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// Lays `records` out as a table at most `width` columns wide.
pub(crate) fn table<R: Record>(records: &[R], width: Option<u16>, colours: bool) -> String {
    let mut table = layout(width, colours);
    table.set_header(R::COLUMNS.iter().map(|name| {
        let cell = comfy_table::Cell::new(name);
        if colours { cell.add_attribute(Attribute::Bold) } else { cell }
    }));
    for record in records {
        table.add_row(record.cells().into_iter().map(|cell| styled(&cell, colours)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        if R::WHOLE.contains(&index) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    finished(table)
}

/// Lays names and values out in two columns.
pub(crate) fn pairs(pairs: &[(&str, Cell)], width: Option<u16>, colours: bool) -> String {
    let mut table = layout(width, colours);
    for (name, value) in pairs {
        table.add_row([styled(&Cell::from(*name), false), styled(value, colours)]);
    }
    finished(table)
}

fn layout(width: Option<u16>, colours: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    match width {
        Some(width) => table.set_width(width),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    if colours {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    table
}

fn styled(cell: &Cell, colours: bool) -> comfy_table::Cell {
    let plain = comfy_table::Cell::new(harmless(&cell.text));
    if colours { cell.tone.style(plain) } else { plain }
}

/// The table as text, flush left, without trailing spaces.
fn finished(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;

    #[derive(Serialize)]
    struct Row(&'static str, &'static str);

    impl Record for Row {
        const COLUMNS: &'static [&'static str] = &["ID", "REASON"];

        fn cells(&self) -> Vec<Cell> {
            vec![self.0.into(), Cell::toned(self.1, Tone::Bad)]
        }
    }

    #[test]
    fn a_table_stays_within_the_width_and_wraps_long_text() {
        let long = "a reason that takes more room than one line of a narrow terminal can give to it, really";
        let text = table(&[Row("iso-1", long)], Some(40), false);
        assert!(text.lines().count() > 2, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        assert!(text.starts_with("ID"), "{text}");
    }

    #[test]
    fn text_from_devices_cannot_play_with_the_terminal() {
        let text = table(&[Row("iso-1", "\u{1b}[2Jgone\r")], None, false);
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text:?}");
        assert!(text.contains("gone"));
    }
}

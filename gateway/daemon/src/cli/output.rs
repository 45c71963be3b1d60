//! Standard output: tables for people, JSON lines for machines.

use super::failure::Failure;
use super::table::{self, Cell, Record, Tone};
use clap::ValueEnum;
use serde::Serialize;
use std::env;
use std::io::{self, IsTerminal as _, Write};

/// How to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

/// Where answers go. When the reader is gone (`cordon events | head`), writing ends quietly with
/// [`Failure::OutputClosed`].
pub(crate) struct Output {
    sink: Box<dyn Write + Send>,
    format: Format,
    colours: bool,
    width: Option<u16>,
}

// === impl Output ===

impl Output {
    /// Standard output: as wide as the terminal, coloured if it is one and `NO_COLOR` is not set. Into a file or a pipe
    /// lines are as long as they need to be, unless `COLUMNS` says otherwise.
    pub(crate) fn stdout(format: Format) -> Self {
        let terminal = io::stdout().is_terminal();
        let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let columns = || env::var("COLUMNS").ok()?.parse().ok();
        let width = if terminal { comfy_table::Table::new().width() } else { None };
        Self {
            sink: Box::new(io::stdout()),
            format,
            colours: terminal && !no_colour,
            width: width.or_else(columns).filter(|width| *width >= 20),
        }
    }

    #[cfg(test)]
    pub(crate) fn to(sink: impl Write + Send + 'static, format: Format, width: u16) -> Self {
        Self { sink: Box::new(sink), format, colours: false, width: Some(width) }
    }

    /// Whether answers are for machines.
    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// How wide a line may be.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width.map(usize::from)
    }

    /// `text` in `tone`, if there are colours.
    pub(crate) fn paint(&self, text: &str, tone: Tone) -> String {
        if self.colours { tone.paint(text) } else { text.to_owned() }
    }

    /// Writes one line as it is. Text from outside goes through [`table::harmless`] first.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.write(format_args!("{line}\n"))
    }

    /// Writes `value` as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value)
            .map_err(|error| Failure::Failed(format!("the answer cannot be written as JSON: {error}")))?;
        self.line(&text)
    }

    /// Writes a list: a table, or one JSON object for each. `none` is what an empty table says.
    pub(crate) fn records<R: Record>(&mut self, records: &[R], none: &str) -> Result<(), Failure> {
        match self.format {
            Format::Json => records.iter().try_for_each(|record| self.json(record)),
            Format::Table if records.is_empty() => self.line(none),
            Format::Table => {
                let text = table::table(records, self.width, self.colours);
                self.line(&text)
            }
        }
    }

    /// Writes names and values below each other. For people only.
    pub(crate) fn pairs(&mut self, pairs: &[(&str, Cell)]) -> Result<(), Failure> {
        let text = table::pairs(pairs, self.width, self.colours);
        self.line(&text)
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) -> Result<(), Failure> {
        let written = self.sink.write_fmt(text).and_then(|()| self.sink.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::Failed(format!("cannot write to standard output: {error}")),
        })
    }
}

/// Tells people something beside the answer, on standard error.
pub(crate) fn note(text: &str) {
    // When standard error is gone there is nobody left to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_ends_the_command_quietly() {
        let mut out = Output::to(Gone, Format::Json, 80);
        assert!(matches!(out.json(&1), Err(Failure::OutputClosed)));
    }
}

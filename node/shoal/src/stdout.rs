//! Data on stdout. A reader that has seen enough (`| head`) ends the command
//! quietly.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;

/// Prints `text` and a newline.
pub(crate) fn line(text: impl std::fmt::Display) -> Result<(), Failure> {
    told(writeln!(io::stdout().lock(), "{text}"))
}

/// Prints a value as indented JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::request(format!("cannot write JSON: {error}"), ""))?;
    line(text)
}

/// Prints a value as JSON on one line.
pub(crate) fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text =
        serde_json::to_string(value).map_err(|error| Failure::request(format!("cannot write JSON: {error}"), ""))?;
    line(text)
}

/// Prints `text` as it is.
pub(crate) fn text(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes `bytes`, whatever they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    told(out.write_all(bytes).and_then(|()| out.flush()))
}

/// What became of writing to stdout.
pub(crate) fn told(outcome: io::Result<()>) -> Result<(), Failure> {
    outcome.map_err(failure)
}

/// The failure for an error on stdout.
pub(crate) fn failure(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Silent(0),
        _ => Failure::request(format!("cannot write to stdout: {error}"), ""),
    }
}

/// Rows of text in aligned columns; the last column is left ragged.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
    line(columns(header, rows))
}

fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header.iter().map(ToString::to_string).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&header).chain(rows).filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let lines = std::iter::once(&header).chain(rows).map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let text = columns(&["A", "LONG"], &[vec!["wider".into(), "x".into()], vec!["ü".into(), String::new()]]);
        assert_eq!(text, "A      LONG\nwider  x\nü");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        assert_eq!(told(Err(io::ErrorKind::BrokenPipe.into())), Err(Failure::Silent(0)));
    }
}

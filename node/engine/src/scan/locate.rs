//! Where in a file a record is that cannot be read.

use std::sync::Arc;

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use shoal_types::Error;

use super::json::JsonDecode;
use super::{Compression, Decode, Reader, RecordScan, Slice, read_prefix};
use crate::pins::{Pin, PinStore};

/// Lines before the faulty part are counted in up to this many bytes; past
/// it the error says at which byte the part begins instead.
const COUNT_BYTES_MAX: usize = 256 << 20;

/// The error for a record that cannot be read, with its line in the file.
///
/// Reads the file again up to the faulty record: errors are rare, and a line
/// number is what their reader needs.
pub(crate) async fn located(
    store: &Arc<PinStore>,
    pin: &Arc<Pin>,
    scan: &RecordScan,
    table: &Schema,
    slice: Slice,
    error: ArrowError,
) -> Error {
    let file = scan.files.get(slice.file as usize);
    let compression = file.map_or(Compression::None, |file| file.compression);
    let what = match &error {
        ArrowError::CsvError(what) | ArrowError::JsonError(what) | ArrowError::ParseError(what) => what.clone(),
        other => other.to_string(),
    };
    let here = match read_prefix(store, pin, slice.start..slice.end, compression, COUNT_BYTES_MAX).await {
        Ok(bytes) => match scan.reader {
            Reader::Csv => file.and_then(|file| csv_line(&what, &bytes, file.delimiter)),
            Reader::Json => json_line(table, &scan.projection, &bytes),
            Reader::Lines { .. } | Reader::Words => None,
        },
        Err(_) => None,
    };
    let before = if slice.start == 0 {
        Some(0)
    } else if slice.start <= COUNT_BYTES_MAX as u64 {
        let before = read_prefix(store, pin, 0..slice.start, Compression::None, COUNT_BYTES_MAX).await;
        before.ok().map(|bytes| memchr::memchr_iter(b'\n', &bytes).count())
    } else {
        None
    };
    let place = match (before, here) {
        (Some(before), Some(here)) => format!("line {}", before + here),
        (None, Some(here)) => format!("line {here} from byte {}", slice.start),
        (_, None) => format!("after byte {}", slice.start),
    };
    Error::BadData {
        object: pin.name.clone(),
        what: format!("{place}: {}", without_line(&what)),
        hint: hint(scan.reader).into(),
    }
}

fn hint(reader: Reader) -> &'static str {
    match reader {
        Reader::Csv => {
            "mend that line and put the file again; types are guessed from a sample, read_text gives the lines as they are"
        }
        Reader::Json => "there must be one JSON object per line; read_text gives the lines as they are",
        Reader::Lines { .. } | Reader::Words => "",
    }
}

/// The line of the record that arrow counts as the n-th of what it was given.
/// A record may have several lines, where a quoted value holds newlines.
fn csv_line(what: &str, bytes: &[u8], delimiter: u8) -> Option<usize> {
    let at = what.find("line ")? + "line ".len();
    let digits: String = what[at..].chars().take_while(char::is_ascii_digit).collect();
    // Of values that do not parse, arrow counts the records from 0.
    let record = digits.parse::<usize>().ok()? + usize::from(what.starts_with("Error while parsing"));
    let (mut line, mut records, mut quoted, mut before) = (1, 1, false, b'\n');
    for byte in bytes {
        if records >= record {
            break;
        }
        match byte {
            // A quote opens only at the beginning of a field; a doubled one
            // closes and opens again.
            b'"' if quoted => quoted = false,
            b'"' => quoted = before == delimiter || matches!(before, b'\n' | b'\r' | b'"'),
            b'\n' => {
                line += 1;
                if !quoted {
                    records += 1;
                }
            }
            _ => {}
        }
        before = *byte;
    }
    Some(line)
}

/// The first line that is not what the table's columns say.
fn json_line(table: &Schema, projection: &[usize], bytes: &[u8]) -> Option<usize> {
    let mut decoder = JsonDecode::new(table, projection).ok()?;
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut rows = Vec::new();
        if decoder.push(line, &mut rows).is_err() || decoder.finish(&mut rows).is_err() {
            return Some(at + 1);
        }
    }
    None
}

/// Arrow's words without its own idea of the line.
fn without_line(what: &str) -> String {
    let Some(at) = what.find(" for line ").or_else(|| what.find(" at line ")) else { return what.to_owned() };
    let rest = &what[at + 1..];
    let end = rest.find([',', '.']).map_or(what.len(), |end| at + 1 + end);
    // The row's data may be long; the line says where to look.
    let tail = what[end..].split(". Row data").next().unwrap_or_default();
    format!("{}{}", &what[..at], tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_records_line_counts_the_newlines_within_quotes() {
        let text = b"a,b\n1,\"two\nlines\"\n3\n";
        assert_eq!(csv_line("incorrect number of fields for line 3, expected 2 got 1", text, b','), Some(4));
        assert_eq!(
            without_line("incorrect number of fields for line 3, expected 2 got 1"),
            "incorrect number of fields, expected 2 got 1"
        );
    }
}

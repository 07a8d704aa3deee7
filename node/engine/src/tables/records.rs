//! CSV, JSON and text tables: columns guessed from samples, and units.

use std::collections::HashSet;
use std::io::Cursor;
use std::ops::Range;
use std::sync::Arc;

use arrow::csv::reader::Format as CsvFormat;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::reader::infer_json_schema;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use futures::stream::{self, StreamExt, TryStreamExt};
use shoal_types::{Error, Format, Result};
use tokio::sync::Semaphore;

use super::align::aligned;
use super::types::{merge, table_schema};
use super::{Layout, OpenTable, PinnedTable, Unit, format_of};
use crate::cut::Quotes;
use crate::pins::{Pin, PinSource, PinStore};
use crate::scan::{Compression, RECORD_BYTES_MAX, Reader, ScanFile, read_prefix};

/// Types are guessed from this many bytes at the beginning of a part.
const SAMPLE_BYTES: usize = 512 << 10;

/// Where no record ends in so many, four times as many are looked at, up to
/// this: as much as a record may have.
const SAMPLE_BYTES_MAX: usize = RECORD_BYTES_MAX;

/// Files of one table of which a sample of more than [`SAMPLE_BYTES`] is in
/// memory at the same time.
const LONG_SAMPLES_AT_ONCE: usize = 1;

/// Parts of one file that are sampled: the first, one in the middle, the last.
const SAMPLED_PARTS_MAX: usize = 3;

/// Files of one table of which types are guessed; of the others only the
/// names of their columns are read.
const SAMPLED_FILES_MAX: usize = 16;

/// Files opened at the same time.
const FILES_AT_ONCE: usize = 16;

/// What was found out about one file.
struct Opened {
    units: Vec<Unit>,
    columns: Vec<String>,
    delimiter: u8,
    schema: Schema,
    compression: Compression,
    sampled_rows: usize,
    sampled_bytes: usize,
}

pub(super) async fn open(
    table: &PinnedTable,
    reader: Reader,
    store: &Arc<PinStore>,
    unit_bytes: u64,
) -> Result<OpenTable> {
    let growing = &Semaphore::new(LONG_SAMPLES_AT_ONCE);
    let csv = table.pins.iter().find(|pin| format_of(pin) == Format::Csv);
    let open = |(file, pin): (usize, Pin)| async move {
        // What has no known format has the separator of what has.
        let like = csv.filter(|_| format_of(&pin) == Format::Bytes).unwrap_or(&pin).name.clone();
        open_file(file, pin, &like, reader, store, unit_bytes, growing).await
    };
    let opened: Vec<Opened> = stream::iter(table.pins.clone().into_iter().enumerate())
        .map(open)
        .buffered(FILES_AT_ONCE)
        .try_collect()
        .await?;
    let schema = match reader {
        Reader::Csv | Reader::Json => {
            let names = table.pins.iter().map(|pin| pin.name.as_str());
            unknown_as_text(&merge(names.zip(opened.iter().map(|file| &file.schema)), true)?)
        }
        Reader::Lines { with_file: true } => text_columns(&["file", "line"]),
        Reader::Lines { with_file: false } => text_columns(&["line"]),
        Reader::Words => text_columns(&["word"]),
    };
    if schema.fields().is_empty() {
        return Err(Error::BadData {
            object: table.reference.pattern.clone(),
            what: "it has no columns".into(),
            hint: "a CSV file begins with a line that names its columns; JSON has an object per line".into(),
        });
    }
    let statistics = estimate(&schema, &opened);
    let files = table
        .pins
        .iter()
        .zip(&opened)
        .map(|(pin, file)| ScanFile {
            key: pin.key.clone(),
            columns: file.columns.clone(),
            delimiter: file.delimiter,
            compression: file.compression,
        })
        .collect();
    let units = opened.iter().flat_map(|file| file.units.iter().copied()).collect();
    let layout = Layout::Records { reader, files };
    Ok(OpenTable { schema: Arc::new(schema), statistics, layout, pins: table.pins.clone(), units })
}

async fn open_file(
    file: usize,
    pin: Pin,
    like: &str,
    reader: Reader,
    store: &Arc<PinStore>,
    unit_bytes: u64,
    growing: &Semaphore,
) -> Result<Opened> {
    let (compression, _) = Compression::of_name(&pin.name);
    let (_, like) = Compression::of_name(like);
    let delimiter = Format::delimiter_of_name(like);
    let units = units(file, &pin, like, reader, compression, unit_bytes).await?;
    let pin = Arc::new(pin);
    let mut opened = Opened {
        units,
        columns: Vec::new(),
        delimiter,
        schema: Schema::empty(),
        compression,
        sampled_rows: 0,
        sampled_bytes: 0,
    };
    let parts = if file < SAMPLED_FILES_MAX { SAMPLED_PARTS_MAX } else { 1 };
    for part in sampled(&opened.units, parts) {
        let sample = sample(store, &pin, part.clone(), reader, &opened, growing).await?;
        // From here to its end nothing is awaited, so that no other is in memory.
        let sample = &sample[..];
        opened.sampled_bytes += sample.len();
        match reader {
            Reader::Csv => sample_csv(&mut opened, &pin, sample, part.start == 0)?,
            Reader::Json => sample_json(&mut opened, &pin, sample, part.start == 0)?,
            Reader::Lines { .. } => opened.sampled_rows += memchr::memchr_iter(b'\n', sample).count(),
            // About six bytes to a word and its blank.
            Reader::Words => opened.sampled_rows += sample.len() / 6,
        }
    }
    Ok(opened)
}

/// The first records of a part, which may be all; at least one, unless that is
/// longer than any sample, which is an error at the beginning of a file.
async fn sample(
    store: &Arc<PinStore>,
    pin: &Arc<Pin>,
    part: Range<u64>,
    reader: Reader,
    opened: &Opened,
    growing: &Semaphore,
) -> Result<Vec<u8>> {
    let quoted_by = (reader == Reader::Csv).then_some(opened.delimiter);
    let (mut wanted, mut permit) = (SAMPLE_BYTES, None);
    loop {
        let mut sample = read_prefix(store, pin, part.clone(), opened.compression, wanted).await?;
        if sample.len() < wanted {
            return Ok(sample);
        }
        sample.truncate(complete_records(&sample, quoted_by));
        // Of lines and words nothing but their number depends on it.
        if !sample.is_empty() || matches!(reader, Reader::Lines { .. } | Reader::Words) {
            return Ok(sample);
        }
        if wanted >= SAMPLE_BYTES_MAX {
            // Of a later part the scan says so, should it come there.
            return if part.start > 0 { Ok(sample) } else { Err(long_first_record(pin)) };
        }
        drop(sample);
        if permit.is_none() {
            permit = Some(growing.acquire().await.map_err(|_| Error::bug("a semaphore was closed"))?);
        }
        wanted = (wanted * 4).min(SAMPLE_BYTES_MAX);
    }
}

/// The parts of a file that can be scanned apart.
async fn units(
    file: usize,
    pin: &Pin,
    like: &str,
    reader: Reader,
    compression: Compression,
    unit_bytes: u64,
) -> Result<Vec<Unit>> {
    let whole = || vec![Unit { file, start: 0, end: pin.bytes }];
    if pin.bytes == 0 || compression != Compression::None {
        return Ok(whole());
    }
    let ranges = match &pin.source {
        PinSource::Object(manifest) => {
            // Chunks end where records do only if the object was cut as what it is read as.
            let cut_for = match reader {
                Reader::Csv => manifest.format == Format::Csv,
                _ => matches!(manifest.format, Format::Csv | Format::Json | Format::Text),
            };
            if !cut_for || manifest.inline.is_some() {
                return Ok(whole());
            }
            manifest.offsets().map(|(at, chunk)| (at, at + u64::from(chunk.bytes))).collect()
        }
        PinSource::Local { path, .. } => {
            let (path, bytes, csv) = (path.clone(), pin.bytes, (reader == Reader::Csv).then(|| like.to_owned()));
            tokio::task::spawn_blocking(move || aligned(&path, bytes, unit_bytes, csv.as_deref()))
                .await
                .map_err(|error| Error::bug(format!("cutting a file was interrupted: {error}")))?
                .map_err(|error| bad(pin, format!("cannot be read: {error}"), ""))?
        }
    };
    Ok(ranges.into_iter().map(|(start, end)| Unit { file, start, end }).collect())
}

fn sampled(units: &[Unit], parts: usize) -> Vec<Range<u64>> {
    let picks: &[usize] = match units.len() {
        0 => &[],
        1 => &[0],
        _ if parts == 1 => &[0],
        2 => &[0, 1],
        count => &[0, count / 2, count - 1],
    };
    picks.iter().filter_map(|at| units.get(*at)).map(|unit| unit.start..unit.end).collect()
}

/// Up to where the records of a sample are there to their end; of a CSV by the
/// rule of whoever cuts and reads it.
fn complete_records(sample: &[u8], delimiter: Option<u8>) -> usize {
    let end = match delimiter {
        Some(delimiter) => Quotes::new(delimiter).advance(sample).or_else(|| last_return(sample, delimiter)),
        None => memchr::memrchr(b'\n', sample).map(|newline| newline + 1),
    };
    end.unwrap_or(0)
}

/// Behind the last carriage return outside quotes, which ends a record of a CSV
/// that has no newlines.
fn last_return(sample: &[u8], delimiter: u8) -> Option<usize> {
    let (mut quotes, mut from, mut end) = (Quotes::new(delimiter), 0, None);
    for at in memchr::memchr_iter(b'\r', sample) {
        quotes.advance(&sample[from..=at]);
        from = at + 1;
        end = if quotes.is_open() { end } else { Some(from) };
    }
    end
}

fn sample_csv(opened: &mut Opened, pin: &Pin, sample: &[u8], first: bool) -> Result<()> {
    let format = CsvFormat::default().with_delimiter(opened.delimiter).with_header(first);
    let (schema, rows) = match format.infer_schema(Cursor::new(sample), None) {
        Ok(found) => found,
        Err(error) if first => {
            let what = error.to_string();
            let what = what.strip_prefix("Csv error: ").unwrap_or(&what);
            return Err(bad(pin, what.to_owned(), "mend that line and put the file again"));
        }
        // The scan will say it with the right line.
        Err(_) => return Ok(()),
    };
    opened.sampled_rows += rows;
    if first {
        opened.columns = unique_names(schema.fields().iter().map(|field| field.name().as_str()));
    }
    if schema.fields().len() != opened.columns.len() {
        return Ok(());
    }
    let fields: Vec<_> = opened
        .columns
        .iter()
        .zip(schema.fields())
        .map(|(name, field)| Field::new(name, field.data_type().clone(), true))
        .collect();
    opened.schema = merge([(pin.name.as_str(), &opened.schema), (pin.name.as_str(), &Schema::new(fields))], true)?;
    Ok(())
}

fn sample_json(opened: &mut Opened, pin: &Pin, sample: &[u8], first: bool) -> Result<()> {
    if first && sample.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(bad(pin, "it is one JSON array".into(), "make it JSON lines, for example with: jq -c '.[]'"));
    }
    let (schema, rows) = match infer_json_schema(Cursor::new(sample), None) {
        Ok(found) => found,
        Err(error) => {
            let what = error.to_string();
            let what = what.strip_prefix("Json error: ").unwrap_or(&what);
            return Err(bad(pin, what.to_owned(), "there must be one JSON object per line"));
        }
    };
    opened.sampled_rows += rows;
    opened.schema = merge([(pin.name.as_str(), &opened.schema), (pin.name.as_str(), &schema)], true)?;
    Ok(())
}

/// Names of columns, made unique: an empty one by its place, one that was
/// there before by a number.
fn unique_names<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut unique = Vec::new();
    for (at, name) in names.enumerate() {
        let name = name.trim_start_matches('\u{feff}');
        let base = if name.trim().is_empty() { format!("column_{}", at + 1) } else { name.to_owned() };
        let mut name = base.clone();
        let mut copy = 2;
        while !seen.insert(name.clone()) {
            name = format!("{base}_{copy}");
            copy += 1;
        }
        unique.push(name);
    }
    unique
}

/// Columns of which no value was seen hold text.
fn unknown_as_text(schema: &Schema) -> Schema {
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Null => Field::new(field.name(), DataType::Utf8, true),
            known => Field::new(field.name(), known.clone(), true),
        })
        .collect();
    table_schema(&Schema::new(fields))
}

fn text_columns(names: &[&str]) -> Schema {
    Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8View, false)).collect::<Vec<_>>())
}

/// How many rows there are, going by the samples.
fn estimate(schema: &Schema, opened: &[Opened]) -> Statistics {
    let rows: usize = opened.iter().map(|file| file.sampled_rows).sum();
    let sampled: usize = opened.iter().map(|file| file.sampled_bytes).sum();
    let total: u64 = opened.iter().flat_map(|file| &file.units).map(Unit::bytes).sum();
    let mut statistics = Statistics::new_unknown(schema);
    if sampled > 0 {
        let rows = rows as u128 * u128::from(total) / sampled as u128;
        statistics.num_rows = Precision::Inexact(usize::try_from(rows).unwrap_or(usize::MAX));
    }
    statistics.total_byte_size = Precision::Inexact(usize::try_from(total).unwrap_or(usize::MAX));
    statistics
}

fn long_first_record(pin: &Pin) -> Error {
    let what = format!("its first record is longer than {} MiB", SAMPLE_BYTES_MAX >> 20);
    bad(pin, what, "records end at newlines; a quote may never close, or it is of another format")
}

fn bad(pin: &Pin, what: String, hint: &str) -> Error {
    Error::BadData { object: pin.name.clone(), what, hint: hint.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_columns_are_made_unique() {
        assert_eq!(unique_names(["a", "", "a", "b", "a"].into_iter()), ["a", "column_2", "a_2", "b", "a_3"]);
    }

    #[test]
    fn a_sample_ends_with_a_whole_record() {
        assert_eq!(complete_records(b"a,b\n1,\"x\ny", Some(b',')), 4);
        assert_eq!(complete_records(b"a\"\nb\tc", Some(b'\t')), 3);
        assert_eq!(complete_records(b"\"a\nb", None), 3);
        assert_eq!(complete_records(b"a", None), 0);
        assert_eq!(complete_records(b"a\r1\r2", Some(b',')), 4);
        assert_eq!(complete_records(b"a\r\"1\r\n2", Some(b',')), 2);
        assert_eq!(complete_records(b"\"a\r\nb\"\r\"1\"\r2", Some(b',')), 11);
        assert_eq!(complete_records(b"a\n1\r2", Some(b',')), 2);
    }
}

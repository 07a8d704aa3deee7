//! Scans of records that are text: CSV, JSON lines, lines and words.
//!
//! A scan's partitions are byte ranges that begin and end at the ends of
//! records, as chunks do, so each reads its own range and nothing of its
//! neighbours. Parquet has DataFusion's reader.

mod bytes;
mod csv;
mod exec;
mod json;
mod locate;
mod text;

use serde::{Deserialize, Serialize};

pub(crate) use bytes::{Compression, read_prefix};
pub(crate) use exec::RecordScanExec;

/// A record that goes on for more than this, give or take the piece of bytes
/// in which it began, is refused: what has come of it is kept in memory, a few
/// times, and of what is compressed any number of bytes may follow. It is as
/// much as a chunk that is not compressed may have. (Fewer in tests, lest they
/// take long.)
pub(crate) const RECORD_BYTES_MAX: usize = if cfg!(test) { 8 << 20 } else { 64 << 20 };

/// What a scan reads, as its plan carries it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RecordScan {
    pub reader: Reader,
    pub files: Vec<ScanFile>,
    pub partitions: Vec<Vec<Slice>>,
    /// Columns of the table that are wanted, in this order.
    pub projection: Vec<usize>,
    /// Rows after which a partition may stop.
    pub limit: Option<usize>,
}

/// How bytes become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Reader {
    /// By each file's own separator.
    Csv,
    Json,
    /// A row per line; with the file's name before it where `with_file`.
    Lines {
        with_file: bool,
    },
    /// A row per word: a longest run of letters and digits, in lower case.
    Words,
}

/// A file of the scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScanFile {
    /// The pin's key.
    pub key: String,
    /// The columns of a CSV file, in its order, and what separates them.
    pub columns: Vec<String>,
    pub delimiter: u8,
    pub compression: Compression,
}

/// A range of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub file: u32,
    pub start: u64,
    pub end: u64,
}

/// Turns bytes, in whatever pieces they come, into batches.
pub(crate) trait Decode: Send {
    /// Takes the next bytes; complete batches go to `out`.
    fn push(&mut self, bytes: &[u8], out: &mut Vec<arrow::array::RecordBatch>) -> Result<(), arrow::error::ArrowError>;

    /// Bytes that have come of a record that has not ended.
    fn unfinished_bytes(&self) -> usize;

    /// Whether they end within quotes so far, where a newline ends no record.
    fn is_open(&self) -> bool {
        false
    }

    /// No more bytes come: the rest goes to `out`.
    fn finish(&mut self, out: &mut Vec<arrow::array::RecordBatch>) -> Result<(), arrow::error::ArrowError>;
}

//! Where the bytes of an object are cut into chunks.
//!
//! ```text
//!   bytes ──► cutter(format) ──► chunks whose concatenation is the bytes
//!
//!   text, JSON lines   after the newline nearest the target
//!   CSV                the same, but never inside quotes
//!   Parquet            between row groups; the footer is a chunk of its own
//!   Avro, Arrow IPC    after a block, after a record batch
//!   gzip               after a member, where it is BGZF and says how long that is
//!   zstd, bzip2        after a frame, after a stream
//!   anything else      at the target
//! ```
//!
//! A cut depends on the content alone, never on the pieces in which it came:
//! the same object has the same chunks whoever puts it.

mod parquet;
mod parquet_cuts;
mod quotes;
mod records;
mod scan;
mod spool;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod unit_tests;
mod units;

use shoal_ports::Cutter;
use shoal_types::Format;

pub(crate) use quotes::Quotes;
use records::RecordCutter;
use scan::{Rule, Scan};
use units::{UnitScan, Units};

/// How large chunks are, in bytes: `min_bytes <= target_bytes <= max_bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutLimits {
    /// A cut is sought near here: one task's worth of scanning.
    pub target_bytes: usize,
    /// No chunk is larger, whatever that cuts through.
    pub max_bytes: usize,
    /// No chunk is smaller, but an object's only or last one.
    pub min_bytes: usize,
}

impl Default for CutLimits {
    fn default() -> Self {
        Self { target_bytes: 16 << 20, max_bytes: 64 << 20, min_bytes: 1 << 20 }
    }
}

/// A cutter for the object `name` of that format. CSV fields are separated by
/// tabs where the name ends in `.tsv`, else by commas.
pub fn cutter(name: &str, format: Format, limits: CutLimits) -> Box<dyn Cutter> {
    let max_bytes = limits.max_bytes.max(1);
    let target_bytes = limits.target_bytes.clamp(1, max_bytes);
    let limits = CutLimits { target_bytes, max_bytes, min_bytes: limits.min_bytes.clamp(1, target_bytes) };
    match format {
        Format::Parquet => Box::new(parquet::ParquetCutter::new(name, limits)),
        Format::Csv => by_records(csv(name), limits),
        Format::Json | Format::Text => by_records(Rule::Lines, limits),
        Format::Bytes => by_records(Rule::Anywhere, limits),
        Format::Avro => by_units(units::Avro::default(), limits),
        Format::Arrow => by_units(units::Arrow::default(), limits),
        Format::Gzip => by_units(units::Bgzf, limits),
        Format::Zstd => by_units(units::Zstd::default(), limits),
        Format::Bzip2 => by_units(units::Bzip2::default(), limits),
    }
}

fn by_records(rule: Rule, limits: CutLimits) -> Box<dyn Cutter> {
    Box::new(RecordCutter::new(Scan::new(rule, limits), limits))
}

fn by_units(units: impl Units + 'static, limits: CutLimits) -> Box<dyn Cutter> {
    Box::new(RecordCutter::new(UnitScan::new(units, limits), limits))
}

/// Whether bytes that begin where a record does end where one does.
pub(crate) fn ends_record(name: &str, format: Format, bytes: &[u8]) -> bool {
    match format {
        Format::Bytes => true,
        Format::Json | Format::Text => scan::ends_record(Rule::Lines, bytes),
        Format::Csv => scan::ends_record(csv(name), bytes),
        Format::Parquet | Format::Avro | Format::Arrow | Format::Gzip | Format::Zstd | Format::Bzip2 => false,
    }
}

fn csv(name: &str) -> Rule {
    Rule::Csv { delimiter: Format::delimiter_of_name(name) }
}

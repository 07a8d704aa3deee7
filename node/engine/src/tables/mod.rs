//! Tables: from a name in a query to something that can be scanned.
//!
//! ```text
//! statement ─▶ references ─▶ pinned files ─▶ columns, statistics, units ─▶ MeshTable
//! ```

mod align;
mod group;
mod parquet;
mod provider;
mod records;
mod reference;
mod types;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Statistics, TableReference};
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use serde::{Deserialize, Serialize};
use shoal_ports::Planning;
use shoal_types::{Error, Format, Result};

use crate::pins::{Pin, PinStore};
use crate::scan::{Compression, Reader, ScanFile};

pub(crate) use provider::MeshTable;
pub(crate) use reference::{Reference, TableKind, references};

/// Files of which a table may be made.
const TABLE_FILES_MAX: usize = 100_000;

/// A reference of a query, and the files that it stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PinnedTable {
    pub reference: Reference,
    pub pins: Vec<Pin>,
}

/// A table whose columns are known.
#[derive(Debug)]
pub(crate) struct OpenTable {
    pub schema: SchemaRef,
    pub statistics: Statistics,
    pub layout: Layout,
    pub pins: Vec<Pin>,
    /// What can be scanned alone, in the order of files and bytes.
    pub units: Vec<Unit>,
}

/// How a table's files are read.
#[derive(Debug)]
pub(crate) enum Layout {
    Parquet,
    Records { reader: Reader, files: Vec<ScanFile> },
}

/// A part of a file that can be scanned alone: a row group, or a range of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unit {
    pub file: usize,
    pub start: u64,
    pub end: u64,
}

impl Unit {
    pub(crate) fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// The files that the references of a query stand for.
pub(crate) async fn pin_tables(references: Vec<Reference>, planning: &Arc<dyn Planning>) -> Result<Vec<PinnedTable>> {
    let mut tables = Vec::with_capacity(references.len());
    for reference in references {
        let files = planning.resolve(reference.pattern.clone()).await?;
        if files.is_empty() {
            return Err(Error::not_found(
                format!("there is nothing named '{}'", reference.pattern),
                "see what there is with: shoal ls",
            ));
        }
        if files.len() > TABLE_FILES_MAX {
            return Err(Error::invalid(
                format!(
                    "'{}' stands for {} files; a table has at most {TABLE_FILES_MAX}",
                    reference.pattern,
                    files.len()
                ),
                "name fewer of them, or put them together into larger ones",
            ));
        }
        let pins = files.into_iter().map(Pin::new).collect::<Result<Vec<_>>>()?;
        tables.push(PinnedTable { reference, pins });
    }
    Ok(tables)
}

/// Finds out a table's columns, statistics and units.
pub(crate) async fn open_table(
    table: &PinnedTable,
    store: &Arc<PinStore>,
    footers: &Arc<FileMetadataCache>,
    unit_bytes: u64,
) -> Result<OpenTable> {
    let reader = match table.reference.kind {
        TableKind::Parquet => return parquet::open(table, store, footers).await,
        TableKind::Csv => Reader::Csv,
        TableKind::Json => Reader::Json,
        TableKind::Text => Reader::Lines { with_file: false },
        TableKind::Lines => Reader::Lines { with_file: true },
        TableKind::Words => Reader::Words,
        TableKind::ByName => match common_format(table)? {
            (_, Format::Parquet) => return parquet::open(table, store, footers).await,
            (_, Format::Csv) => Reader::Csv,
            (_, Format::Json) => Reader::Json,
            (_, Format::Text) => Reader::Lines { with_file: false },
            (pin, format @ (Format::Avro | Format::Arrow)) => {
                return Err(Error::invalid(
                    format!("{} is {}, which cannot be queried yet", pin.name, format.as_str()),
                    "store it as Parquet, CSV or JSON lines too",
                ));
            }
            (pin, Format::Bytes | Format::Gzip | Format::Zstd | Format::Bzip2) => {
                return Err(Error::invalid(
                    format!("{} has no format that can be queried", pin.name),
                    "say how to read it: read_parquet('…'), read_csv('…'), read_json('…') or read_text('…')",
                ));
            }
        },
    };
    records::open(table, reader, store, unit_bytes).await
}

/// The format of a table, and the first file that has it: files of no known
/// format, as `a.log.1` or parts without an ending, are read like the others.
fn common_format(table: &PinnedTable) -> Result<(&Pin, Format)> {
    let first = table.pins.first().ok_or_else(|| Error::bug("a table of no files"))?;
    let mut known = table.pins.iter().map(|pin| (pin, format_of(pin))).filter(|(_, format)| *format != Format::Bytes);
    let Some((pin, format)) = known.next() else { return Ok((first, Format::Bytes)) };
    match known.find(|(_, other)| *other != format) {
        None => Ok((pin, format)),
        Some((other, its)) => Err(Error::invalid(
            format!("{} is {}, and {} is {}: no table of both", pin.name, format.as_str(), other.name, its.as_str()),
            "name those of one format, as in 'b/*.csv', or say how to read them all: read_csv('…'), lines('…')",
        )),
    }
}

/// The format by which a file is read when the query does not say.
fn format_of(pin: &Pin) -> Format {
    let (compression, inner) = Compression::of_name(&pin.name);
    let by_name = Format::of_name(inner);
    match &pin.source {
        // A put may have named the format; a compressed object has that of the name within.
        crate::pins::PinSource::Object(manifest) if compression == Compression::None => match manifest.format {
            Format::Bytes | Format::Gzip | Format::Zstd | Format::Bzip2 => by_name,
            format => format,
        },
        _ => by_name,
    }
}

impl Reference {
    /// The reference as DataFusion keeps it.
    pub(crate) fn table_reference(&self) -> TableReference {
        match &self.path[..] {
            [schema, table] => TableReference::partial(schema.as_str(), table.as_str()),
            [catalog, schema, table] => TableReference::full(catalog.as_str(), schema.as_str(), table.as_str()),
            path => TableReference::bare(path.join(".")),
        }
    }
}

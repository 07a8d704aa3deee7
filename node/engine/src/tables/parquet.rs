//! Parquet tables: columns, statistics and row groups, from the footers.

use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::Statistics;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::execution::cache::cache_manager::FileMetadataCache;
use futures::stream::{self, StreamExt, TryStreamExt};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::file::metadata::ParquetMetaData;
use shoal_types::{Error, Result};

use super::types::{merge, table_schema};
use super::{Layout, OpenTable, PinnedTable, Unit};
use crate::pins::{Pin, PinSource, PinStore};

/// Footers read at the same time.
const FOOTERS_AT_ONCE: usize = 16;

/// The end of a local file that is read at first: most footers fit.
const FOOTER_BYTES_GUESS: usize = 256 << 10;

pub(super) async fn open(
    table: &PinnedTable,
    store: &Arc<PinStore>,
    footers: &Arc<FileMetadataCache>,
) -> Result<OpenTable> {
    let read = |pin: Pin| async move { footer(&pin, store, footers).await };
    let metadata: Vec<Arc<ParquetMetaData>> =
        stream::iter(table.pins.clone()).map(read).buffered(FOOTERS_AT_ONCE).try_collect().await?;

    let mut schemas = Vec::with_capacity(metadata.len());
    for (metadata, pin) in metadata.iter().zip(&table.pins) {
        let file = metadata.file_metadata();
        let schema = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata())
            .map_err(|error| bad(pin, error.to_string()))?;
        schemas.push(table_schema(&schema));
    }
    let schema = match &schemas[..] {
        // Where there is one file, its own promise of no nulls holds.
        [one] => one.clone(),
        several => merge(table.pins.iter().map(|pin| pin.name.as_str()).zip(several), false)?,
    };
    let statistics = statistics(&metadata, schema.clone())?;
    let units = metadata.iter().enumerate().flat_map(|(file, metadata)| row_groups(file, metadata)).collect();
    Ok(OpenTable { schema: Arc::new(schema), statistics, layout: Layout::Parquet, pins: table.pins.clone(), units })
}

async fn footer(pin: &Pin, store: &Arc<PinStore>, footers: &Arc<FileMetadataCache>) -> Result<Arc<ParquetMetaData>> {
    let meta = PinStore::meta(pin);
    let hint = match &pin.source {
        PinSource::Local { .. } => Some(FOOTER_BYTES_GUESS),
        // The footer is a chunk of its own; a guess could reach into the rows before it.
        PinSource::Object(_) => None,
    };
    DFParquetMetadata::new(store.as_ref(), &meta)
        .with_metadata_size_hint(hint)
        .with_file_metadata_cache(Some(Arc::clone(footers)))
        .fetch_metadata()
        .await
        .map_err(|error| crate::error::running(error, &pin.name))
}

fn statistics(metadata: &[Arc<ParquetMetaData>], schema: Schema) -> Result<Statistics> {
    let schema = Arc::new(schema);
    let failed = |error| Error::bug(format!("merging statistics of files: {error}"));
    let files = metadata
        .iter()
        .map(|metadata| DFParquetMetadata::statistics_from_parquet_metadata(metadata, &schema))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    Statistics::try_merge_iter(&files, &schema).map_err(failed)
}

/// The byte ranges of a file's row groups. DataFusion scans a row group when
/// the first page of its first column begins in the range that it is given.
fn row_groups(file: usize, metadata: &ParquetMetaData) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::with_capacity(metadata.num_row_groups());
    for group in metadata.row_groups().iter().filter(|group| group.num_columns() > 0) {
        let ranges = group.columns().iter().map(|column| column.byte_range());
        let (start, end) =
            ranges.fold((u64::MAX, 0), |(start, end), (at, bytes)| (start.min(at), end.max(at.saturating_add(bytes))));
        units.push(Unit { file, start, end: end.max(start.saturating_add(1)) });
    }
    units.sort_by_key(|unit| unit.start);
    let interleaved = units.windows(2).any(|pair| pair[0].end > pair[1].start);
    match (units.first(), units.iter().map(|unit| unit.end).max()) {
        // Row groups that lie across each other can only be read together.
        (Some(first), Some(end)) if interleaved => vec![Unit { file, start: first.start, end }],
        _ => units,
    }
}

fn bad(pin: &Pin, what: String) -> Error {
    Error::BadData { object: pin.name.clone(), what, hint: "it does not look like Parquet".into() }
}

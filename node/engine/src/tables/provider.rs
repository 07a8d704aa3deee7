use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result as DfResult, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;

use super::group::{partitions, scan_bytes};
use super::{Layout, OpenTable, Unit};
use crate::pins::{PinStore, STORE_URL};
use crate::scan::{RecordScan, RecordScanExec, Slice};

/// A table of pinned files. Its partitions follow from the bytes alone.
#[derive(Debug)]
pub(crate) struct MeshTable {
    table: OpenTable,
    partitions: Vec<Vec<Unit>>,
    store: Arc<PinStore>,
}

impl MeshTable {
    /// The table in partitions of about `target` bytes, or in one (`whole`).
    pub(crate) fn new(table: OpenTable, store: Arc<PinStore>, target: u64, whole: bool) -> Self {
        let total = table.units.iter().map(Unit::bytes).sum();
        let target = if whole { u64::MAX } else { scan_bytes(total, target) };
        let partitions = partitions(&table.units, target);
        Self { table, partitions, store }
    }

    fn parquet(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let mut options = session.default_table_options().parquet;
        // The footer is cached, or else a chunk of its own.
        options.global.metadata_size_hint = None;
        let env = session.runtime_env();
        let url = ObjectStoreUrl::parse(STORE_URL)?;
        let reader =
            CachedParquetFileReaderFactory::new(env.object_store(&url)?, env.cache_manager.get_file_metadata_cache());
        let source = ParquetSource::new(Arc::clone(&self.table.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let group = |units: &Vec<Unit>| {
            let file = |unit: &Unit| {
                let meta = PinStore::meta(&self.table.pins[unit.file]);
                PartitionedFile::new_from_meta(meta).with_range(unit.start as i64, unit.end as i64)
            };
            FileGroup::new(units.iter().map(file).collect())
        };
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_file_groups(self.partitions.iter().map(group).collect())
            .with_statistics(self.table.statistics.clone())
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[async_trait]
impl TableProvider for MeshTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.table.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.table.statistics.clone())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.table.schema.fields().len()).collect();
        let wanted = projection.unwrap_or(&all);
        if self.partitions.is_empty() {
            return Ok(Arc::new(EmptyExec::new(Arc::new(self.table.schema.project(wanted)?))));
        }
        match &self.table.layout {
            Layout::Parquet => self.parquet(session, projection, limit),
            Layout::Records { reader, files } => {
                // The number of files is bounded far below u32.
                let slice = |unit: &Unit| Slice { file: unit.file as u32, start: unit.start, end: unit.end };
                let scan = RecordScan {
                    reader: *reader,
                    files: files.clone(),
                    partitions: self.partitions.iter().map(|units| units.iter().map(slice).collect()).collect(),
                    projection: wanted.clone(),
                    limit,
                };
                let statistics = self.table.statistics.clone().project(Some(wanted));
                let table = Arc::clone(&self.table.schema);
                Ok(Arc::new(RecordScanExec::new(scan, table, statistics, Arc::clone(&self.store))?))
            }
        }
    }
}

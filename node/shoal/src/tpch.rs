//! TPC-H data, made on the spot (TPC Benchmark H, by the crate `tpchgen`).

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use arrow::array::{RecordBatch, RecordBatchReader};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

/// Rows of a row group: about 8 MiB of `lineitem`, so that a table has
/// several chunks long before it is large.
pub(crate) const ROW_GROUP_ROWS: usize = 250_000;

/// The tables, the smallest first.
pub(crate) const TABLES: [&str; 8] =
    ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// Writes a table as one Parquet file, at scale factor `sf` (1 is about 1 GB of
/// text in all tables together), in row groups of `rows`. Gives the path.
pub(crate) fn write(table: &str, sf: f64, dir: &Path, rows: usize) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("{table}.parquet"));
    match table {
        "region" => to_file(&path, rows, RegionArrow::new(RegionGenerator::new(sf, 1, 1))),
        "nation" => to_file(&path, rows, NationArrow::new(NationGenerator::new(sf, 1, 1))),
        "supplier" => to_file(&path, rows, SupplierArrow::new(SupplierGenerator::new(sf, 1, 1))),
        "customer" => to_file(&path, rows, CustomerArrow::new(CustomerGenerator::new(sf, 1, 1))),
        "part" => to_file(&path, rows, PartArrow::new(PartGenerator::new(sf, 1, 1))),
        "partsupp" => to_file(&path, rows, PartSuppArrow::new(PartSuppGenerator::new(sf, 1, 1))),
        "orders" => to_file(&path, rows, OrderArrow::new(OrderGenerator::new(sf, 1, 1))),
        "lineitem" => to_file(&path, rows, LineItemArrow::new(LineItemGenerator::new(sf, 1, 1))),
        other => anyhow::bail!("TPC-H has no table '{other}'"),
    }?;
    Ok(path)
}

fn to_file<I>(path: &Path, row_group_rows: usize, batches: I) -> anyhow::Result<()>
where
    I: RecordBatchReader + Iterator<Item = Result<RecordBatch, arrow::error::ArrowError>>,
{
    let file = File::create(path).with_context(|| format!("cannot write '{}'", path.display()))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(row_group_rows))
        .build();
    let mut writer = ArrowWriter::try_new(file, batches.schema(), Some(properties))?;
    for batch in batches {
        writer.write(&batch?)?;
    }
    writer.close()?;
    Ok(())
}

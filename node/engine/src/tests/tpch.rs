//! The 22 queries of TPC-H, against plain DataFusion on the same files.

use std::fmt::Debug;
use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator, PartSuppGenerator,
    RegionGenerator, SupplierGenerator,
};
use tpchgen_arrow::{
    CustomerArrow, LineItemArrow, NationArrow, OrderArrow, PartArrow, PartSuppArrow, RegionArrow, SupplierArrow,
};

use super::mesh::Mesh;
use crate::{CutLimits, EngineConfig, TPCH_TABLES, fingerprint, plain_session, tpch_query};

const SCALE: f64 = 0.01;
const ROW_GROUP_ROWS: usize = 3000;

type Rows = Box<dyn Iterator<Item = RecordBatch>>;

fn rows<E: Debug>(batches: impl Iterator<Item = Result<RecordBatch, E>> + 'static) -> Rows {
    Box::new(batches.map(|batch| batch.unwrap()))
}

/// A table's rows, as Parquet with many row groups. Made once for all tests:
/// it takes longer than most queries.
pub(super) fn table(name: &str) -> Vec<u8> {
    let kept = std::env::temp_dir().join(format!("shoal-tpch-{SCALE}-{ROW_GROUP_ROWS}-{name}.parquet"));
    if let Ok(bytes) = std::fs::read(&kept) {
        return bytes;
    }
    let bytes = generated(name);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    file.persist(kept).unwrap();
    bytes
}

fn generated(name: &str) -> Vec<u8> {
    parquet_of(rows_of(name, SCALE), ROW_GROUP_ROWS)
}

fn rows_of(name: &str, scale: f64) -> Rows {
    match name {
        "customer" => rows(CustomerArrow::new(CustomerGenerator::new(scale, 1, 1))),
        "lineitem" => rows(LineItemArrow::new(LineItemGenerator::new(scale, 1, 1))),
        "nation" => rows(NationArrow::new(NationGenerator::new(scale, 1, 1))),
        "orders" => rows(OrderArrow::new(OrderGenerator::new(scale, 1, 1))),
        "part" => rows(PartArrow::new(PartGenerator::new(scale, 1, 1))),
        "partsupp" => rows(PartSuppArrow::new(PartSuppGenerator::new(scale, 1, 1))),
        "region" => rows(RegionArrow::new(RegionGenerator::new(scale, 1, 1))),
        "supplier" => rows(SupplierArrow::new(SupplierGenerator::new(scale, 1, 1))),
        other => panic!("no table {other}"),
    }
}

fn parquet_of(mut batches: Rows, group_rows: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let first = batches.next().unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), first.schema(), Some(properties)).unwrap();
    std::iter::once(first).chain(batches).for_each(|batch| writer.write(&batch).unwrap());
    writer.into_inner().unwrap()
}

pub(super) struct Tpch {
    pub mesh: Arc<Mesh>,
    pub oracle: SessionContext,
    _dir: TempDir,
}

pub(super) async fn tpch(peers: usize) -> Tpch {
    let mesh = Mesh::new(peers);
    let oracle = plain_session(NonZeroUsize::new(2).unwrap());
    let dir = TempDir::new().unwrap();
    for name in TPCH_TABLES {
        let bytes = table(name);
        let path = dir.path().join(format!("{name}.parquet"));
        std::fs::write(&path, &bytes).unwrap();
        oracle.register_parquet(name, path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        mesh.put(&format!("tpch/{name}.parquet"), bytes);
    }
    Tpch { mesh, oracle, _dir: dir }
}

impl Tpch {
    pub(super) async fn expected(&self, sql: &str) -> Vec<RecordBatch> {
        self.oracle.sql(sql).await.unwrap().collect().await.unwrap()
    }
}

async fn check(queries: impl IntoIterator<Item = usize>) {
    let tpch = tpch(3).await;
    assert!(tpch.mesh.chunks_of("tpch/lineitem.parquet") > 8);
    for number in queries {
        let sql = tpch_query(number).unwrap();
        let expected = tpch.expected(sql).await;
        let answer = tpch.mesh.sql(sql).await.unwrap_or_else(|error| panic!("Q{number}: {error}"));
        let shown = arrow::util::pretty::pretty_format_batches(&expected).unwrap();
        assert_eq!(
            answer.fingerprint,
            fingerprint(&expected).unwrap(),
            "Q{number}\nexpected\n{shown}\ngot\n{}",
            answer.text()
        );
        let tasks: u32 = answer.plan.stages.iter().map(|stage| stage.partitions).sum();
        println!("Q{number}: {} stages, {tasks} tasks, {} rows", answer.plan.stages.len(), answer.rows());
        if answer.is_whole() {
            let explained = tpch.mesh.sql(&format!("EXPLAIN {sql}")).await.unwrap();
            panic!("Q{number} is not distributed\n{}", explained.text());
        }
        assert!(answer.plan.stages.len() > 1 && tasks > 4, "Q{number}");
    }
}

#[tokio::test]
async fn queries_1_to_6_give_what_datafusion_gives() {
    check(1..=6).await;
}

#[tokio::test]
async fn queries_7_to_11_give_what_datafusion_gives() {
    check(7..=11).await;
}

#[tokio::test]
async fn queries_12_to_17_give_what_datafusion_gives() {
    check(12..=17).await;
}

#[tokio::test]
async fn queries_18_to_22_give_what_datafusion_gives() {
    check(18..=22).await;
}

/// Times of one engine with default limits against plain DataFusion's, at
/// scale 1: `cargo nextest run --release --run-ignored only --no-capture speed`.
#[tokio::test]
#[ignore = "a measurement; takes minutes unless optimised"]
async fn speed() {
    let mesh = Mesh::with(1, |config| EngineConfig::new(2, config.spill_dir));
    let oracle = plain_session(NonZeroUsize::new(2).unwrap());
    let dir = TempDir::new().unwrap();
    for name in TPCH_TABLES {
        let bytes = parquet_of(rows_of(name, 1.0), 250_000);
        let path = dir.path().join(format!("{name}.parquet"));
        std::fs::write(&path, &bytes).unwrap();
        oracle.register_parquet(name, path.to_str().unwrap(), ParquetReadOptions::default()).await.unwrap();
        mesh.put_cut(&format!("tpch/{name}.parquet"), bytes, CutLimits::default());
    }
    let mut totals = [0.0, 0.0];
    for number in 1..=22 {
        let sql = tpch_query(number).unwrap();
        let mut best = [f64::MAX; 2];
        for _ in 0..2 {
            let start = Instant::now();
            let expected = oracle.sql(sql).await.unwrap().collect().await.unwrap();
            best[0] = best[0].min(start.elapsed().as_secs_f64());
            let start = Instant::now();
            let answer = mesh.sql(sql).await.unwrap();
            best[1] = best[1].min(start.elapsed().as_secs_f64());
            assert_eq!(answer.fingerprint, fingerprint(&expected).unwrap(), "Q{number}");
        }
        println!("Q{number}: DataFusion {:.3} s, here {:.3} s", best[0], best[1]);
        (0..2).for_each(|at| totals[at] += best[at]);
    }
    println!("all: DataFusion {:.2} s, here {:.2} s", totals[0], totals[1]);
}

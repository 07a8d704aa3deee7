use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use arrow::array::RecordBatch;
use clap::{Args, ValueEnum};
use serde::Serialize;
use shoal_engine::{AnswerReader, fingerprint, plain_session, tpch_query};
use shoal_gateway::{Client, SqlUpdate};
use shoal_runtime::PutCondition;
use shoal_types::{ObjectName, Query};

use super::median;
use crate::commands::generate::parse_scale;
use crate::failure::Failure;
use crate::local_mesh::{LocalMesh, MeshOptions};
use crate::system::cores;
use crate::transfer::{Reading, Source, progress};
use crate::{stdout, tpch};

/// The queries of TPC-H: seconds on the mesh and by the other engine, on the same files.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bench tpch --sf 1 --versus datafusion
  shoal bench tpch --sf 10 --peers 3 --queries 1,6,18 --data /tmp/tpch --json")]
pub(super) struct TpchArgs {
    /// The scale factor.
    #[arg(long, default_value_t = 1.0, value_parser = parse_scale)]
    sf: f64,

    /// How many peers, on this machine: they share its cores.
    #[arg(short = 'n', long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    peers: u16,

    /// What to compare with.
    #[arg(long, value_enum, default_value = "datafusion")]
    versus: Versus,

    /// Which queries; by default all.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=22))]
    queries: Vec<u8>,

    /// Counted runs of each query, after one that is not counted; the median is told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,

    /// Where the generated files are kept for the next time; by default they go with the run.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Versus {
    /// DataFusion in one process, with its own settings.
    Datafusion,
}

#[derive(Debug, Serialize)]
struct Report {
    sf: f64,
    peers: u16,
    cores: usize,
    runs: u16,
    queries: Vec<Row>,
    mesh_seconds: f64,
    versus_seconds: f64,
    ratio: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    query: u8,
    mesh_seconds: f64,
    versus_seconds: f64,
    ratio: f64,
    stages: usize,
    tasks: u32,
    /// Whether both gave the same rows, to the last bit.
    equal: bool,
}

impl TpchArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Versus::Datafusion = self.versus;
        let mesh = LocalMesh::start(&MeshOptions { peers: self.peers, ..MeshOptions::default() }).await?;
        let outcome = self.measure(&mesh).await;
        mesh.stop().await;
        let report = outcome?;
        if self.json { stdout::json(&report) } else { print(&report) }
    }

    async fn measure(&self, mesh: &LocalMesh) -> Result<Report, Failure> {
        let dir = self.data.clone().unwrap_or_else(|| mesh.dir().join("data")).join(format!("tpch-sf{}", self.sf));
        let client = mesh.client(0)?;
        let threads = NonZeroUsize::new(cores()).unwrap_or(NonZeroUsize::MIN);
        let plain = plain_session(threads);
        for table in tpch::TABLES {
            let path = generate(table, self.sf, &dir).await?;
            let name = ObjectName::new(format!("{table}/{table}.parquet"))?;
            let body = Reading::of(Source::File(path.clone())).open(progress(None)).await?;
            client.put(&name, None, &PutCondition::Always, body).await?;
            let ddl = format!("CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{}'", path.display());
            let registered = async { plain.sql(&ddl).await?.collect().await };
            registered.await.map_err(|error| Failure::request(format!("DataFusion: {error}"), ""))?;
        }
        let numbers = if self.queries.is_empty() { (1..=22).collect() } else { self.queries.clone() };
        let mut rows = Vec::new();
        for number in numbers {
            let sql = tpch_query(usize::from(number))
                .ok_or_else(|| Failure::usage(format!("TPC-H has no query {number}"), "they are 1 to 22"))?;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            let (mut shape, mut equal) = ((0, 0), true);
            for run in 0..=self.runs {
                let started = Instant::now();
                let (batches, stages, tasks) = on_mesh(&client, sql).await?;
                let mesh_seconds = started.elapsed().as_secs_f64();
                let started = Instant::now();
                let other = async { plain.sql(sql).await?.collect().await };
                let other = other.await.map_err(|error| Failure::request(format!("DataFusion: {error}"), ""))?;
                let versus_seconds = started.elapsed().as_secs_f64();
                equal &= fingerprint(&batches)? == fingerprint(&other)?;
                shape = (stages, tasks);
                // The first run reads files and footers for the first time.
                if run > 0 {
                    ours.push(mesh_seconds);
                    theirs.push(versus_seconds);
                }
            }
            let (mesh_seconds, versus_seconds) = (median(ours), median(theirs));
            let ratio = mesh_seconds / versus_seconds;
            eprintln!("Q{number}: {mesh_seconds:.3} s against {versus_seconds:.3} s");
            rows.push(Row {
                query: number,
                mesh_seconds,
                versus_seconds,
                ratio,
                stages: shape.0,
                tasks: shape.1,
                equal,
            });
        }
        let mesh_seconds: f64 = rows.iter().map(|row| row.mesh_seconds).sum();
        let versus_seconds: f64 = rows.iter().map(|row| row.versus_seconds).sum();
        Ok(Report {
            sf: self.sf,
            peers: self.peers,
            cores: cores(),
            runs: self.runs,
            queries: rows,
            mesh_seconds,
            versus_seconds,
            ratio: mesh_seconds / versus_seconds,
        })
    }
}

/// A table's file, made if it is not there from an earlier run.
async fn generate(table: &'static str, sf: f64, dir: &Path) -> Result<PathBuf, Failure> {
    let path = dir.join(format!("{table}.parquet"));
    if path.exists() {
        return Ok(path);
    }
    let dir = dir.to_owned();
    let made = tokio::task::spawn_blocking(move || -> anyhow::Result<PathBuf> {
        // Under another name until it is whole, should this be interrupted.
        let making = dir.join(format!("making-{table}"));
        std::fs::create_dir_all(&making)?;
        let made = tpch::write(table, sf, &making, tpch::ROW_GROUP_ROWS)?;
        let path = dir.join(format!("{table}.parquet"));
        std::fs::rename(made, &path)?;
        std::fs::remove_dir(making)?;
        Ok(path)
    });
    let made = made.await.map_err(|error| Failure::request(format!("cannot make '{table}': {error}"), ""))?;
    made.map_err(|error| Failure::request(format!("cannot make '{table}': {error:#}"), ""))
}

/// Rows, stages and tasks.
async fn on_mesh(client: &Client, sql: &str) -> Result<(Vec<RecordBatch>, usize, u32), Failure> {
    let mut rows = client.sql(&Query::new(sql)).await?;
    let (mut reader, mut batches) = (AnswerReader::new(), Vec::new());
    while let Some(update) = rows.next().await? {
        match update {
            SqlUpdate::Event(_) => {}
            SqlUpdate::Frame(frame) => batches.extend(reader.push(frame)?),
            SqlUpdate::Summary(job) => return Ok((batches, job.stages.len(), job.tasks())),
        }
    }
    Err(Failure::mesh("the answer ended before it was whole", ""))
}

fn print(report: &Report) -> Result<(), Failure> {
    let seconds = |value: f64| format!("{value:.3}");
    let mut rows: Vec<Vec<String>> = report
        .queries
        .iter()
        .map(|row| {
            vec![
                format!("Q{}", row.query),
                seconds(row.mesh_seconds),
                seconds(row.versus_seconds),
                format!("{:.2}", row.ratio),
                row.stages.to_string(),
                row.tasks.to_string(),
                if row.equal { "yes" } else { "NO" }.into(),
            ]
        })
        .collect();
    let total = format!("{:.2}", report.ratio);
    let equal = if report.queries.iter().all(|row| row.equal) { "yes" } else { "NO" };
    rows.push(vec![
        "all".into(),
        seconds(report.mesh_seconds),
        seconds(report.versus_seconds),
        total,
        String::new(),
        String::new(),
        equal.into(),
    ]);
    eprintln!("TPC-H SF {}, {} peers, {} cores, median of {} runs", report.sf, report.peers, report.cores, report.runs);
    stdout::table(&["QUERY", "MESH_S", "DATAFUSION_S", "RATIO", "STAGES", "TASKS", "EQUAL"], &rows)
}

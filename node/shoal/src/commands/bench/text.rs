use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use bytes::Bytes;
use clap::Args;
use futures::stream;
use serde::Serialize;
use shoal_engine::AnswerReader;
use shoal_gateway::{Client, SqlUpdate};
use shoal_runtime::PutCondition;
use shoal_types::{Format, ObjectName, Query};

use super::median;
use crate::failure::Failure;
use crate::local_mesh::{LocalMesh, MeshOptions};
use crate::system::cores;
use crate::{stdout, text};

/// Word count: MB/s on the mesh, and of a plain loop in one thread over the same text in memory.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bench text
  shoal bench text --mb 1024 --peers 3 --json")]
pub(super) struct TextArgs {
    /// Megabytes of text.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=16_384))]
    mb: u16,

    /// How many peers, on this machine: they share its cores.
    #[arg(short = 'n', long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    peers: u16,

    /// Counted runs, after one that is not counted; the median is told.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    runs: u16,

    /// Where the text comes from; by default text that is on every machine, over and over.
    #[arg(long, value_name = "DIR")]
    text: Option<PathBuf>,

    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    megabytes: f64,
    peers: u16,
    cores: usize,
    runs: u16,
    mesh_mb_per_second: f64,
    loop_mb_per_second: f64,
    /// Mesh over loop: above 1 the mesh is faster.
    ratio: f64,
    distinct_words: usize,
    /// Whether both counted the same.
    equal: bool,
}

const SQL: &str = "SELECT word, count(*) AS n FROM words('text/*.txt') GROUP BY word";

impl TextArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mesh = LocalMesh::start(&MeshOptions { peers: self.peers, ..MeshOptions::default() }).await?;
        let outcome = self.measure(&mesh).await;
        mesh.stop().await;
        let report = outcome?;
        if self.json {
            return stdout::json(&report);
        }
        let rows = vec![
            vec!["mesh".into(), format!("{:.0}", report.mesh_mb_per_second), format!("{:.2}", report.ratio)],
            vec!["plain loop".into(), format!("{:.0}", report.loop_mb_per_second), "1.00".into()],
        ];
        eprintln!(
            "word count of {:.0} MB, {} distinct words, {} peers, {} cores, median of {} runs, equal: {}",
            report.megabytes, report.distinct_words, report.peers, report.cores, report.runs, report.equal
        );
        stdout::table(&["WHO", "MB_PER_S", "RATIO"], &rows)
    }

    async fn measure(&self, mesh: &LocalMesh) -> Result<Report, Failure> {
        let (dir, wanted) = (self.text.clone(), usize::from(self.mb) * 1_000_000);
        let made = tokio::task::spawn_blocking(move || text::collect(dir.as_deref(), wanted)).await;
        let (text, _) = made
            .map_err(|error| Failure::request(error, ""))?
            .map_err(|error| Failure::request(format!("{error:#}"), "name a directory with text: --text DIR"))?;
        let text = Bytes::from(text);
        let client = mesh.client(0)?;
        let name = ObjectName::new("text/bench.txt")?;
        let pieces: Vec<_> =
            (0..text.len()).step_by(1 << 20).map(|at| Ok(text.slice(at..text.len().min(at + (1 << 20))))).collect();
        client.put(&name, Some(Format::Text), &PutCondition::Always, stream::iter(pieces)).await?;
        let (mut ours, mut theirs, mut counts) = (Vec::new(), Vec::new(), (0, 0, 0));
        let mut equal = true;
        for run in 0..=self.runs {
            let started = Instant::now();
            let (distinct, total) = on_mesh(&client).await?;
            let mesh_seconds = started.elapsed().as_secs_f64();
            let looped = text.clone();
            let plain = tokio::task::spawn_blocking(move || {
                let started = Instant::now();
                let counted = count(&String::from_utf8_lossy(&looped));
                (counted, started.elapsed().as_secs_f64())
            });
            let ((words, all), seconds) = plain.await.map_err(|error| Failure::request(error, ""))?;
            equal &= distinct == words && total == all;
            counts = (distinct, words, all);
            if run > 0 {
                ours.push(mesh_seconds);
                theirs.push(seconds);
            }
        }
        let megabytes = text.len() as f64 / 1e6;
        let (mesh, plain) = (megabytes / median(ours), megabytes / median(theirs));
        Ok(Report {
            megabytes,
            peers: self.peers,
            cores: cores(),
            runs: self.runs,
            mesh_mb_per_second: mesh,
            loop_mb_per_second: plain,
            ratio: mesh / plain,
            distinct_words: counts.0,
            equal,
        })
    }
}

/// Distinct words, and all of them.
async fn on_mesh(client: &Client) -> Result<(usize, i64), Failure> {
    let mut rows = client.sql(&Query::new(SQL)).await?;
    let (mut reader, mut distinct, mut total) = (AnswerReader::new(), 0, 0);
    while let Some(update) = rows.next().await? {
        match update {
            SqlUpdate::Event(_) => {}
            SqlUpdate::Frame(frame) => {
                if let Some(batch) = reader.push(frame)? {
                    distinct += batch.num_rows();
                    let counts = batch.column(1).as_any().downcast_ref::<arrow::array::Int64Array>();
                    total += counts.map_or(0, |counts| counts.iter().flatten().sum());
                }
            }
            SqlUpdate::Summary(_) => return Ok((distinct, total)),
        }
    }
    Err(Failure::mesh("the answer ended before it was whole", ""))
}

/// What one would write without a mesh: the same words, in one thread.
fn count(text: &str) -> (usize, i64) {
    let mut counts: HashMap<String, i64> = HashMap::new();
    let mut total = 0;
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        total += 1;
        match counts.get_mut(&word) {
            Some(count) => *count += 1,
            None => {
                counts.insert(word, 1);
            }
        }
    }
    (counts.len(), total)
}

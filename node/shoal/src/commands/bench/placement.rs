mod candidates;
mod figures;

use candidates::Kind;
use clap::Args;
use figures::{Row, Setting, measure};
use serde::Serialize;

use crate::failure::Failure;
use crate::stdout;

/// Ways to find the owners of a chunk: how even, how steady and how fast each is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bench placement
  shoal bench placement --peers 10,100 --zones 3 --json")]
pub(super) struct PlacementArgs {
    /// Among how many peers.
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000",
        value_parser = clap::value_parser!(u16).range(4..=4_096))]
    peers: Vec<u16>,

    /// How many zones they are in, at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    zones: u16,

    /// Copies of each chunk.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=3))]
    replicas: u8,

    /// Chunks for each peer.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    chunks: u32,

    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    zones: u16,
    replicas: u8,
    rows: Vec<Row>,
}

impl PlacementArgs {
    /// Keeps one core busy for about half a minute.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let json = self.json;
        let measured = tokio::task::spawn_blocking(move || self.measure()).await;
        let report = measured.map_err(|error| Failure::request(error, ""))?;
        if json { stdout::json(&report) } else { print(&report) }
    }

    fn measure(&self) -> Report {
        let mut rows = Vec::new();
        for peers in self.peers.iter().copied().map(usize::from) {
            let setting = Setting {
                peers,
                zones: usize::from(self.zones),
                replicas: usize::from(self.replicas),
                keys: peers as u64 * u64::from(self.chunks),
            };
            rows.extend(Kind::ALL.map(|kind| measure(kind, setting)));
        }
        Report { zones: self.zones, replicas: self.replicas, rows }
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let row = |row: &Row| {
        vec![
            row.peers.to_string(),
            row.candidate.clone(),
            format!("{:.2}", row.largest_over_mean),
            format!("{:.2}", row.moved_by_join),
            format!("{:.2}", row.moved_by_leave),
            format!("{:.2}", row.double_weight),
            row.same_zone.to_string(),
            format!("{:.2}", row.lookup_us),
            format!("{:.1}", row.prepare_ms),
            format!("{:.1}", row.memory_bytes as f64 / 1024.0),
        ]
    };
    let rows: Vec<Vec<String>> = report.rows.iter().map(row).collect();
    eprintln!(
        "{} copies over {} zones; best possible: 1.00 of shares and moves, 2.00 of a double weight, 0 in one zone",
        report.replicas, report.zones
    );
    let header =
        ["PEERS", "PLACEMENT", "LARGEST", "JOIN", "LEAVE", "DOUBLE", "SAME_ZONE", "LOOKUP_US", "PREPARE_MS", "KIB"];
    stdout::table(&header, &rows)
}

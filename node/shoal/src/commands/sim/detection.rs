use clap::Args;
use shoal_sim::{DetectionRow, Spread, detection};

use crate::failure::Failure;
use crate::stdout;
use crate::units;

/// Measure how soon failure detectors notice a death, and what looking out for it costs.
#[derive(Debug, Args)]
#[command(after_help = "Deaths of which nothing tells: probes alone find them, as after a power cut. Each cell is
the middle and the worst of all seeds. 5,000 peers take some minutes and 14 GB.

Examples:
  shoal sim detection
  shoal sim detection --peers 5,100 --seeds 100 --json")]
pub(super) struct DetectionArgs {
    /// The sizes of the meshes.
    #[arg(short = 'n', long, value_delimiter = ',', default_value = "5,10,100,1000", value_name = "PEERS")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=20_000))]
    peers: Vec<u32>,

    /// Runs of each size; a tenth of it, at least one, from 1,000 peers on.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    seeds: u64,

    #[arg(long)]
    json: bool,
}

impl DetectionArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut failed = 0;
        for peers in self.peers {
            let seeds = if peers < 1_000 { self.seeds } else { (self.seeds / 10).max(1) };
            eprintln!("{peers} peers ...");
            let row = detection(peers, 0..seeds);
            failed += row.failed;
            if self.json {
                stdout::json_line(&row)?;
            } else {
                rows.push(cells(&row));
            }
        }
        if !self.json {
            let header =
                ["PEERS", "SEEDS", "SUSPECTED", "DEAD_FIRST", "DEAD_ALL", "PACKETS_PER_S", "BYTES_PER_S", "JOIN"];
            stdout::table(&header, &rows)?;
        }
        super::verdict::outcome(failed == 0)
    }
}

fn cells(row: &DetectionRow) -> Vec<String> {
    vec![
        row.peers.to_string(),
        row.seeds.to_string(),
        seconds(row.suspected_ms),
        seconds(row.dead_first_ms),
        seconds(row.dead_last_ms),
        format!("{} / {}", row.packets_per_s.p50, row.packets_per_s.max),
        format!("{} / {}", units::bytes(row.bytes_per_s.p50), units::bytes(row.bytes_per_s.max)),
        seconds(row.join_ms),
    ]
}

/// The middle and the worst of times in ms, in seconds.
pub(super) fn seconds(spread: Spread) -> String {
    format!("{:.1} / {:.1} s", spread.p50 as f64 / 1e3, spread.max as f64 / 1e3)
}

use clap::Args;
use shoal_sim::{JoiningRow, joining, on_own_stack};

use super::detection::seconds;
use crate::failure::Failure;
use crate::stdout;

/// Measure how long it takes a newcomer to be a member like any other.
#[derive(Debug, Args)]
#[command(after_help = "The last of so many peers starts when the others have come to rest. READY: it takes queries.
LINKED: everybody has a link to it. SETTLED: all agree on a layout with it. Each cell is
the middle and the worst of all seeds, in virtual time, in a mesh without data.

Examples:
  shoal sim joining
  shoal sim joining --peers 2,10,300 --seeds 5 --json")]
pub(super) struct JoiningArgs {
    /// The sizes of the meshes, the newcomer among them.
    #[arg(short = 'n', long, value_delimiter = ',', default_value = "2,10,100", value_name = "PEERS")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=5_000))]
    peers: Vec<u32>,

    /// Runs of each size.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,

    #[arg(long)]
    json: bool,
}

impl JoiningArgs {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut failed = 0;
        for peers in self.peers {
            eprintln!("{peers} peers ...");
            let row = on_own_stack(|| joining(peers, 0..self.seeds))??;
            failed += row.failed;
            if self.json {
                stdout::json_line(&row)?;
            } else {
                rows.push(cells(&row));
            }
        }
        if !self.json {
            stdout::table(&["PEERS", "SEEDS", "READY", "LINKED", "SETTLED", "VERSIONS"], &rows)?;
        }
        super::verdict::outcome(failed == 0)
    }
}

fn cells(row: &JoiningRow) -> Vec<String> {
    vec![
        row.peers.to_string(),
        row.seeds.to_string(),
        seconds(row.ready_ms),
        seconds(row.linked_ms),
        seconds(row.settled_ms),
        format!("{} / {}", row.versions.p50, row.versions.max),
    ]
}

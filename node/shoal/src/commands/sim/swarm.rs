mod summary;

use std::time::Duration;

use clap::Args;
use shoal_sim::{Found, Swarm};

use super::options::WorldArgs;
use super::progress::{Progress, on_thread};
use super::shrinking::ShrinkArgs;
use super::verdict;
use crate::failure::Failure;
use crate::system::cores;

/// Seeds that are run if neither their number nor a time is given.
const SEEDS: u64 = 1000;

/// Run seed after seed, on all cores, and stop at the first violation.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal sim swarm --seeds 1000 --minutes 5
  shoal sim swarm --scenario mine.toml --seed 1 --seeds 100

It ends with the seeds or with the minutes, whatever comes first. A violation is shrunk, and comes with
the line that shows it again: shoal sim replay '...'.")]
pub(super) struct SwarmArgs {
    #[command(flatten)]
    world: WorldArgs,

    /// At most so many seeds, from --seed upwards [default: 1000, or any number within --minutes].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,

    /// At most so many minutes of real time.
    #[arg(long)]
    minutes: Option<f64>,

    /// Runs at once [default: one per core].
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,

    #[command(flatten)]
    shrink: ShrinkArgs,

    /// JSON lines; the last is the verdict.
    #[arg(long)]
    json: bool,
}

impl SwarmArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let budget = self.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0));
        let budget = budget.transpose().map_err(|_| Failure::usage("--minutes is no time", "--minutes 5 is one"))?;
        let simulation = self.world.simulation()?;
        let swarm = Swarm {
            first_seed: simulation.seed,
            simulation,
            seeds: self.seeds.unwrap_or(if budget.is_some() { u64::MAX } else { SEEDS }),
            budget,
            threads: self.threads.unwrap_or_else(cores),
        };
        let report = on_thread(move || {
            let progress = Progress::new();
            swarm.run(|so_far| progress.swarm(so_far))
        });
        let report = report.await??;
        if !self.json {
            summary::print(&report)?;
        }
        let shrunk = match &report.found {
            Some(Found { simulation, report }) => self.shrink.shrink(simulation, report).await?,
            None => None,
        };
        if self.json {
            summary::lines(&report, shrunk.as_ref())?;
        } else if let Some(shrunk) = &shrunk {
            shrunk.print()?;
        }
        verdict::outcome(report.holds())
    }
}

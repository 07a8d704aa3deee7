mod bench;
mod bug;
mod detection;
mod joining;
mod options;
mod progress;
mod replay;
mod run;
mod scenarios;
mod shrinking;
mod swarm;
mod verdict;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::interrupt::interruptible;

/// Simulate a mesh in this process: the real runtime, in virtual time, from a seed.
///
/// Without a command one run. The same seed is the same run, to the last event.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  shoal sim --peers 1000 --seed 42 --scenario churn
  shoal sim --scenario spot --peers 500 --lose 10% --job my-job.toml --plot out.svg
  shoal sim scenarios spot > mine.toml && shoal sim --scenario mine.toml
  shoal sim swarm --minutes 5
  shoal sim replay 'scenario=swarm seed=42 faults=3,5'

Exit codes: 0 all held, 1 something was violated, 2 wrong usage."
)]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    what: Option<What>,

    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    Swarm(swarm::SwarmArgs),
    Replay(replay::ReplayArgs),
    Scenarios(scenarios::ScenariosArgs),
    Bench(bench::BenchArgs),
    Detection(detection::DetectionArgs),
    Joining(joining::JoiningArgs),
}

impl SimArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let work = async {
            match self.what {
                None => self.run.run().await,
                Some(What::Swarm(args)) => args.run().await,
                Some(What::Replay(args)) => args.run().await,
                Some(What::Scenarios(args)) => args.run(),
                Some(What::Bench(args)) => args.run().await,
                Some(What::Detection(args)) => args.run(),
                Some(What::Joining(args)) => args.run(),
            }
        };
        interruptible(work, async || {}).await
    }
}

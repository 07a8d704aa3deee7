//! What all runs are told: the scenario, and what is changed in it.

use std::path::PathBuf;

use clap::Args;
use shoal_sim::{Origin, Replay, Share, Simulation, Span};
use shoal_types::Error;

use super::bug::BugArgs;
use crate::failure::Failure;

/// What is run unless something else is asked for.
const SCENARIO: &str = "swarm";

#[derive(Debug, Args)]
pub(super) struct WorldArgs {
    /// A scenario that is shipped ('shoal sim scenarios' lists them), or a TOML file.
    #[arg(long, default_value = SCENARIO, value_name = "NAME|FILE")]
    scenario: String,

    /// How many peers.
    #[arg(short = 'n', long)]
    peers: Option<u32>,

    /// Simulated time in which there is work and things go wrong: 90s, 5m.
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,

    /// The share of hosts that is reclaimed: 10%.
    #[arg(long, value_name = "SHARE")]
    lose: Option<Share>,

    /// A job to run too: a TOML file with at least 'input = "data/"'.
    #[arg(long, value_name = "FILE")]
    job: Option<PathBuf>,

    /// Where all chance comes from [default: a fresh one, which is told].
    #[arg(long)]
    seed: Option<u64>,

    #[command(flatten)]
    bug: BugArgs,
}

impl WorldArgs {
    /// The run that is asked for, whose seed is told.
    pub(super) fn simulation(&self) -> Result<Simulation, Failure> {
        let seed = self.seed.unwrap_or_else(fresh_seed);
        let job = self.job.as_ref().map(|path| path.display().to_string());
        let origin = Origin {
            peers: self.peers,
            duration: self.duration,
            lose: self.lose,
            job,
            ..Origin::named(self.scenario.clone())
        };
        let mut replay = Replay::new(origin, seed);
        self.bug.plant(&mut replay)?;
        let simulation = load(&replay)?;
        if self.seed.is_none() {
            eprintln!("seed {seed}");
        }
        Ok(simulation)
    }
}

/// Small enough to be typed.
fn fresh_seed() -> u64 {
    rand::random_range(1..1_000_000_000)
}

/// The run that a line describes.
pub(super) fn load(replay: &Replay) -> Result<Simulation, Failure> {
    let simulation = replay.simulation(read).map_err(usage)?;
    if simulation.planted.is_some() && !Simulation::can_plant() {
        return Err(Failure::usage("this build has no planted bugs", "tests of the simulator have them"));
    }
    Ok(simulation)
}

fn read(path: &str) -> shoal_types::Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::invalid(format!("cannot read '{path}': {error}"), ""))
}

/// Everything that is wrong before a run is a wrong command.
pub(super) fn usage(error: Error) -> Failure {
    Failure::usage(&error, error.hint())
}

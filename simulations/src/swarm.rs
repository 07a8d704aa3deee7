//! Many seeds of one scenario, on all cores, until one of them breaks something.
//!
//! ```text
//!  seeds, in order ─▶ threads, each one run at a time ─▶ Tally ─▶ SwarmReport
//!                                     └─ a violation ─▶ all stop ─▶ shrink
//! ```

mod tally;
#[cfg(test)]
mod tests;
mod threads;

use std::time::Duration;

use shoal_types::Result;

use crate::report::Report;
use crate::simulation::Simulation;
use crate::watch::Watch;
pub use tally::SwarmReport;
pub use threads::on_own_stack;

/// What is to be searched.
#[derive(Debug, Clone, PartialEq)]
pub struct Swarm {
    /// What is run; the seed in it is replaced by each in turn.
    pub simulation: Simulation,
    pub first_seed: u64,
    /// At most so many.
    pub seeds: u64,
    /// At most so long, in real time.
    pub budget: Option<Duration>,
    /// At least one.
    pub threads: usize,
}

/// How far a swarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SwarmProgress {
    pub runs: u64,
    pub seeds: u64,
    /// Of all runs.
    pub simulated: Duration,
    pub events: u64,
    /// Real time.
    pub wall: Duration,
}

/// A seed that breaks something.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub simulation: Simulation,
    pub report: Report,
}

impl Swarm {
    /// Runs seed after seed until one breaks something, or seeds or time are
    /// used up. `tell` is called a few times a second.
    ///
    /// A run that the end of the time cuts short counts as not run.
    ///
    /// # Errors
    ///
    /// The scenario cannot be built.
    pub fn run(&self, tell: impl FnMut(SwarmProgress)) -> Result<SwarmReport> {
        threads::run(self, &Watch::within(self.budget), tell)
    }
}

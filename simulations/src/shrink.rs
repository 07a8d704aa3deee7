//! Makes a run that breaks something small, so that people can follow it.
//!
//! What comes after the violation goes first: that makes all further runs
//! cheaper. Then, in the order of their worth: fewer faults, a shorter run, fewer
//! peers, less work for clients. A smaller run counts only if the same invariant
//! fails in it. The parts are tried in turn until none gives any more.

mod fewer;
mod smaller;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use shoal_types::Result;

use crate::replay::Origin;
use crate::report::{Report, Violation};
use crate::scenario::{Bytes, Span};
use crate::simulation::Simulation;
use crate::watch::Watch;

/// Rounds over all parts, at most.
const ROUNDS: usize = 3;

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shrunk {
    /// The smallest run that was found, and its report.
    pub simulation: Simulation,
    pub report: Report,
    pub before: Size,
    pub after: Size,
    /// Runs that were tried.
    pub runs: usize,
    /// The time was over before nothing was left to try.
    pub out_of_time: bool,
    /// The run was another one when it was repeated: in what. Nothing was shrunk.
    pub nondeterministic: Option<Violation>,
}

/// How large a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    pub faults: usize,
    pub duration: Span,
    pub peers: u32,
    pub clients: u32,
    pub jobs: usize,
    pub data: Bytes,
}

/// One try.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShrinkStep {
    pub runs: usize,
    /// Of the smallest run so far.
    pub size: Size,
}

impl Size {
    fn of(simulation: &Simulation) -> Self {
        let scenario = &simulation.scenario;
        Self {
            faults: simulation.strikes().len(),
            duration: scenario.duration,
            peers: scenario.peers,
            clients: scenario.workload.clients,
            jobs: scenario.workload.jobs.len(),
            data: scenario.workload.data,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, duration, peers, clients, jobs, data } = self;
        write!(f, "faults {faults}, duration {duration}, peers {peers}, clients {clients}, jobs {jobs}, data {data}")
    }
}

/// Shrinks a run that broke something, for at most `budget` of real time, on
/// this thread (see [`crate::STACK_BYTES`]).
///
/// First it is repeated as it is: it must be the same run, else that is the
/// finding.
///
/// # Errors
///
/// The scenario cannot be built.
pub fn shrink(
    simulation: &Simulation,
    report: &Report,
    budget: Duration,
    tell: impl FnMut(ShrinkStep),
) -> Result<Shrunk> {
    let quiet = Simulation { aloud: false, ..simulation.clone() };
    let mut search = Search {
        begun: Duration::ZERO,
        invariant: broken(report).unwrap_or_default(),
        report: report.clone(),
        watch: Watch::within(Some(budget)),
        runs: 0,
        tell,
        simulation: quiet,
    };
    let before = Size::of(&search.simulation);
    let nondeterministic = search.repeat()?;
    let mut out_of_time = false;
    if nondeterministic.is_none() && !search.invariant.is_empty() {
        out_of_time = search.shrink()?.is_none();
    }
    let simulation = Simulation { aloud: simulation.aloud, ..search.simulation };
    let after = Size::of(&simulation);
    Ok(Shrunk { simulation, report: search.report, before, after, runs: search.runs, out_of_time, nondeterministic })
}

/// Which invariant failed first.
fn broken(report: &Report) -> Option<String> {
    let wrong = || (!report.holds()).then(|| "right-answers".to_owned());
    report.violations.first().map(|violation| violation.invariant.clone()).or_else(wrong)
}

/// The smallest run so far, and the means to look for a smaller one. What the
/// time ran out for is `None`.
struct Search<T> {
    simulation: Simulation,
    report: Report,
    /// When its work began.
    begun: Duration,
    invariant: String,
    watch: Watch,
    runs: usize,
    tell: T,
}

impl<T: FnMut(ShrinkStep)> Search<T> {
    /// Runs the whole thing again, in any time: what is different.
    fn repeat(&mut self) -> Result<Option<Violation>> {
        let watch = Watch::default();
        let again = self.simulation.run_watched(&watch)?;
        self.runs += 1;
        self.begun = watch.begun().unwrap_or_default();
        if again.trace == self.report.trace && broken(&again).as_deref() == Some(self.invariant.as_str()) {
            return Ok(None);
        }
        let first = self.report.violations.first();
        Ok(Some(Violation {
            invariant: "nondeterministic".into(),
            at: again.simulated,
            what: format!(
                "the same run had the trace {} and broke {}, then the trace {} and broke {}",
                self.report.trace,
                self.invariant,
                again.trace,
                broken(&again).as_deref().unwrap_or("nothing"),
            ),
            peers: Vec::new(),
            last_events: again.violations.first().map(|other| other.last_events.clone()).unwrap_or_default(),
            replay: first.map(|first| first.replay.clone()).unwrap_or_default(),
        }))
    }

    fn shrink(&mut self) -> Result<Option<()>> {
        if self.end()?.is_none() {
            return Ok(None);
        }
        for _ in 0..ROUNDS {
            let before = Size::of(&self.simulation);
            if self.faults()?.is_none()
                || self.duration()?.is_none()
                || self.peers()?.is_none()
                || self.work()?.is_none()
            {
                return Ok(None);
            }
            if Size::of(&self.simulation) == before {
                break;
            }
        }
        Ok(Some(()))
    }

    /// The same, after a change of its scenario.
    fn breaks_with(&mut self, change: impl FnOnce(&mut Origin)) -> Result<Option<bool>> {
        match self.simulation.changed(change) {
            Ok(candidate) => self.breaks(candidate),
            // There is no such scenario: too few peers for its copies, perhaps.
            Err(_) => Ok(Some(false)),
        }
    }

    /// Whether a run breaks the same; if so, it is the smallest so far.
    fn breaks(&mut self, candidate: Simulation) -> Result<Option<bool>> {
        if self.watch.is_stopped() {
            return Ok(None);
        }
        let watch = self.watch.another();
        let report = candidate.run_watched(&watch)?;
        self.runs += 1;
        if watch.was_cut() {
            return Ok(None);
        }
        let same = broken(&report).is_some_and(|broken| broken == self.invariant);
        if same {
            self.begun = watch.begun().unwrap_or_default();
            (self.simulation, self.report) = (candidate, report);
        }
        (self.tell)(ShrinkStep { runs: self.runs, size: Size::of(&self.simulation) });
        Ok(Some(same))
    }
}

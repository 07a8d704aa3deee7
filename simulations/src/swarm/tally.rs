//! What many runs add up to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde::Serialize;
use shoal_types::Result;

use super::{Found, Swarm, SwarmProgress};
use crate::report::Report;
use crate::simulation::Simulation;

/// Seeds whose plans tell which kinds of faults a scenario has.
const PLANS: u64 = 64;

/// What came of a swarm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SwarmReport {
    pub scenario: String,
    pub first_seed: u64,
    /// All seeds from the first on, so many, were run to their end.
    pub seeds_covered: u64,
    /// With those that ended out of their turn.
    pub runs: u64,
    /// The hash of the traces of the seeds covered, in their order.
    pub trace: String,
    pub threads: usize,
    #[serde(skip)]
    pub simulated: Duration,
    #[serde(skip)]
    pub wall: Duration,
    pub events: u64,
    /// Of clients, and checked.
    pub operations: u64,
    /// Asked for, and their answers compared.
    pub jobs: u64,
    /// Invariant → how often it was checked.
    pub checks: BTreeMap<String, u64>,
    /// Kind of fault → how often it struck.
    pub faults: BTreeMap<String, u64>,
    /// Kinds that this scenario has, and none of these seeds had.
    pub faults_missing: BTreeSet<String>,
    /// The first seed that broke something.
    #[serde(skip)]
    pub found: Option<Found>,
}

pub(super) struct Tally<'a> {
    swarm: &'a Swarm,
    began: Instant,
    report: SwarmReport,
    /// Traces of runs that have ended before one of an earlier seed.
    early: BTreeMap<u64, String>,
    hash: blake3::Hasher,
    /// The number of the run that broke something.
    broken: Option<u64>,
}

impl<'a> Tally<'a> {
    #[allow(clippy::disallowed_methods, reason = "how fast a swarm runs is a matter of real time")]
    pub(super) fn new(swarm: &'a Swarm) -> Self {
        let report = SwarmReport {
            scenario: swarm.simulation.scenario.title.clone(),
            first_seed: swarm.first_seed,
            seeds_covered: 0,
            runs: 0,
            trace: String::new(),
            threads: swarm.threads.max(1),
            simulated: Duration::ZERO,
            wall: Duration::ZERO,
            events: 0,
            operations: 0,
            jobs: 0,
            checks: BTreeMap::new(),
            faults: BTreeMap::new(),
            faults_missing: BTreeSet::new(),
            found: None,
        };
        let hash = blake3::Hasher::new();
        Self { swarm, began: Instant::now(), report, early: BTreeMap::new(), hash, broken: None }
    }

    /// Adds a run that has ended. Whether to go on.
    pub(super) fn take(&mut self, number: u64, simulation: Simulation, report: Report) -> bool {
        let sums = &mut self.report;
        sums.runs += 1;
        sums.simulated += report.simulated;
        sums.events += report.events;
        sums.operations += report.operations.values().map(|of| of.ok + of.failed + of.unknown).sum::<u64>();
        sums.jobs += report.jobs.iter().filter(|job| job.makespan.is_some()).count() as u64;
        for (invariant, times) in &report.checks {
            *sums.checks.entry(invariant.clone()).or_default() += times;
        }
        for fault in report.faults.iter().filter(|fault| fault.at <= report.simulated) {
            // A mark begins with its kind.
            let kind = fault.what.split(' ').next().unwrap_or_default();
            *sums.faults.entry(kind.to_owned()).or_default() += 1;
        }
        self.early.insert(number, report.trace.clone());
        while let Some(trace) = self.early.remove(&sums.seeds_covered) {
            self.hash.update(trace.as_bytes());
            sums.seeds_covered += 1;
        }
        let holds = report.holds();
        // Others may have broken something before they heard that all stop.
        if !holds && self.broken.is_none_or(|before| number < before) {
            self.broken = Some(number);
            sums.found = Some(Found { simulation, report });
        }
        holds
    }

    #[allow(clippy::disallowed_methods, reason = "as above")]
    pub(super) fn progress(&self) -> SwarmProgress {
        SwarmProgress {
            runs: self.report.runs,
            seeds: self.swarm.seeds,
            simulated: self.report.simulated,
            events: self.report.events,
            wall: self.began.elapsed(),
        }
    }

    pub(super) fn report(mut self) -> SwarmReport {
        self.report.wall = self.progress().wall;
        self.report.trace = self.hash.finalize().to_hex()[..32].to_owned();
        let kinds = kinds(&self.swarm.simulation, self.swarm.first_seed);
        self.report.faults_missing = kinds.into_iter().filter(|kind| !self.report.faults.contains_key(kind)).collect();
        self.report
    }
}

/// The kinds of faults that a scenario has, for one seed or another.
fn kinds(simulation: &Simulation, first_seed: u64) -> BTreeSet<String> {
    let seeds = (0..PLANS).map(|n| simulation.with_seed(first_seed.wrapping_add(n)));
    let plans = seeds.filter_map(|seed| Some(seed.ok()?.strikes()));
    plans.flatten().map(|strike| strike.kind.name().to_owned()).collect()
}

impl Swarm {
    /// The run of a number, from 0.
    pub(super) fn simulation_of(&self, number: u64) -> Result<Simulation> {
        self.simulation.with_seed(self.first_seed.wrapping_add(number))
    }
}

impl SwarmReport {
    /// Whether all runs held.
    pub fn holds(&self) -> bool {
        self.found.is_none()
    }

    /// Virtual seconds, of all threads, in one real one.
    pub fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }
}

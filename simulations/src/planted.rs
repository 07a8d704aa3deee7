//! The checks can fail: a swarm finds each bug that can be planted, by an
//! invariant that is there for it, and what it finds is not there without the bug.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

use shoal_runtime::Planted;

use crate::report::Report;
use crate::{STACK_BYTES, Scenario, Simulation};

/// No bug may need more seeds than this.
const SEEDS_MAX: u64 = 60;

/// A bug that can be planted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    Runtime(Planted),
    /// [`crate::ComputeConfig::mixes_attempts`].
    MixesAttempts,
}

/// How a bug is found.
struct Case {
    /// A mesh and faults among which it is likely to show.
    scenario: &'static str,
    /// What may find it. Whatever else breaks is no proof.
    invariants: &'static [&'static str],
    /// The seeds that are tried: from a first, at which it is found at the
    /// time of writing, so many. Any change makes another run of a seed, so
    /// there is room for more than twice as many as were ever needed.
    first: u64,
    seeds: u64,
}

macro_rules! scenario {
    ($name:literal) => {
        include_str!(concat!("planted/", $name, ".toml"))
    };
}

impl Bug {
    fn all() -> Vec<Self> {
        Planted::ALL.iter().copied().map(Self::Runtime).chain([Self::MixesAttempts]).collect()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Runtime(planted) => planted.as_str(),
            Self::MixesAttempts => "mixes-attempts",
        }
    }

    fn case(self) -> Case {
        let case = |scenario, invariants, first, seeds| Case { scenario, invariants, first, seeds };
        let Self::Runtime(planted) = self else {
            return case(scenario!("broken-links"), &["jobs-end-right"], 1001, 24);
        };
        match planted {
            Planted::PromiseNotSynced => case(scenario!("power-cuts"), &["linearizable"], 1, 24),
            Planted::QuorumOfOne => case(scenario!("contended"), &["linearizable"], 1, 12),
            Planted::AckBeforeReplicas => case(scenario!("deaths"), &["durable"], 1, 12),
            Planted::SettleTooEarly => case(scenario!("large-move"), &["linearizable"], 1, 12),
            Planted::GoesUntold => case(scenario!("left"), &["heals"], 1001, 60),
            Planted::NoFence => case(scenario!("missed-move"), &["linearizable"], 2003, 60),
            Planted::RepairTrusts => case(scenario!("one-away"), &["heals"], 1, 12),
            Planted::SkipsRepair => case(scenario!("one-away"), &["heals"], 1, 12),
            Planted::ForgetsToCancel => case(scenario!("failing-jobs"), &["no-orphans"], 1, 12),
            Planted::AnswerMixesAttempts => case(scenario!("broken-answers"), &["jobs-end-right"], 1, 12),
            Planted::DeafToDeath => case(scenario!("cut-off"), &["membership-converges"], 1, 12),
            Planted::StaleRead => case(scenario!("contended"), &["linearizable"], 1, 12),
            Planted::UnboundedQueue => case(scenario!("too-many-tasks"), &["bounded"], 1, 12),
            Planted::RunsReleasedTasks => case(scenario!("dead-coordinators"), &["no-orphans"], 2001, 24),
            Planted::LayoutNotKept => case(scenario!("restart"), &["same-owners"], 1, 12),
            Planted::FailedCopyCounts => case(scenario!("deaths"), &["durable"], 1, 12),
            Planted::ShedsUnasked => case(scenario!("shares-change"), &["durable"], 1, 12),
            Planted::CollectsAtOnce => case(scenario!("collected"), &["durable"], 1, 12),
            Planted::CollectsUnasked => case(scenario!("collected"), &["durable"], 1, 12),
            Planted::KeepsHistoryLate => case(scenario!("history"), &["history-is-kept"], 1, 12),
            Planted::ForgetsUnasked => case(scenario!("forgotten"), &["linearizable"], 1, 12),
            Planted::KeepsOldRegisters => case(scenario!("taken-in-again"), &["linearizable"], 1, 24),
            Planted::ForgetsOwnWrite => case(scenario!("many-moves"), &["linearizable"], 1001, 60),
            Planted::PassesOverUnlisted => case(scenario!("leaving"), &["durable"], 1, 12),
            Planted::GoesWithoutLook => case(scenario!("let-go-of"), &["durable"], 1, 12),
            Planted::CountsWeightless => case(scenario!("weightless"), &["linearizable"], 1, 12),
            Planted::KeepsOldNumber => case(scenario!("more-copies"), &["heals"], 1, 12),
            Planted::SumsAgree => case(scenario!("rotten"), &["heals"], 1, 12),
            Planted::AppendsTwice => case(scenario!("appended"), &["appends-once"], 1, 12),
        }
    }

    /// A run with the bug in it, at all peers.
    fn simulation(self, seed: u64) -> Simulation {
        let mut simulation = Simulation::new(Scenario::parse(self.case().scenario).unwrap(), seed);
        match self {
            Self::Runtime(planted) => simulation.planted = Some(planted),
            Self::MixesAttempts => simulation.mixes_attempts = true,
        }
        simulation
    }

    /// The first of `seeds` from `first` on that shows it, how many were
    /// tried, and what broke in those that showed something else.
    fn search(self, first: u64, seeds: u64) -> Search {
        let mut search = Search { found: None, tried: 0, others: Vec::new() };
        let invariants = self.case().invariants;
        for seed in first..first + seeds {
            search.tried += 1;
            let simulation = self.simulation(seed);
            let report = simulation.run().unwrap();
            match report.violations.first() {
                Some(violation) if invariants.contains(&violation.invariant.as_str()) => {
                    search.found = Some((simulation, report));
                    return search;
                }
                Some(other) => search.others.push(format!("{} ({})", other.invariant, other.replay)),
                None => {}
            }
        }
        search
    }

    /// What is wrong with the checks, if they miss the bug or find it where it is not.
    fn judge(self) -> Result<String, String> {
        let Case { first, seeds, .. } = self.case();
        let name = self.name();
        let search = self.search(first, seeds);
        let Some((simulation, found)) = search.found else {
            let others = search.others.join("; ");
            return Err(format!("{name}: none of {seeds} seeds from {first} on shows it; others: {others}"));
        };
        let violation = &found.violations[0];
        let without = Simulation { planted: None, mixes_attempts: false, ..simulation };
        let clean = without.run().unwrap();
        match clean.violations.first() {
            Some(real) => {
                Err(format!("{name}: breaks {} without it too: {} ({})", real.invariant, real.what, real.replay))
            }
            None if !clean.holds() => Err(format!("{name}: an answer is wrong without it too")),
            None => Ok(format!("{name}: {} at the {}. seed, {}", violation.invariant, search.tried, found.seed)),
        }
    }
}

struct Search {
    found: Option<(Simulation, Report)>,
    tried: u64,
    others: Vec<String>,
}

/// Does something for each bug, on all cores.
fn for_each_bug<T: Send>(work: impl Fn(Bug) -> T + Sync) -> Vec<(Bug, T)> {
    let bugs = Bug::all();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            let work = || {
                while let Some(bug) = bugs.get(next.fetch_add(1, Relaxed)) {
                    let result = work(*bug);
                    done.lock().unwrap().push((*bug, result));
                }
            };
            thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work).unwrap();
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn a_swarm_finds_every_planted_bug_and_nothing_where_there_is_none() {
    let judged = for_each_bug(Bug::judge);
    assert_eq!(judged.len(), Bug::all().len());
    let missed: Vec<&String> = judged.iter().filter_map(|(_, judged)| judged.as_ref().err()).collect();
    assert!(missed.is_empty(), "{missed:#?}");
}

#[test]
fn no_search_is_longer_than_what_anybody_waits_for() {
    for bug in Bug::all() {
        let case = bug.case();
        assert!((1..=SEEDS_MAX).contains(&case.seeds), "{}", bug.name());
        assert!(!case.invariants.is_empty());
    }
}

/// For the table in the README, and for `first` and `seeds` above: how many
/// seeds each bug needs from several starts.
#[test]
#[ignore = "a measurement: run it with --no-capture"]
fn how_many_seeds_each_bug_needs() {
    for_each_bug(|bug| {
        let needed = [1, 1_001, 2_001, 3_001].map(|first| {
            let search = bug.search(first, SEEDS_MAX);
            let found = search.found.map_or("-".into(), |(_, report)| report.violations[0].invariant.clone());
            format!("{} from {first} ({found}, {} others)", search.tried, search.others.len())
        });
        #[allow(clippy::print_stdout, reason = "what it is for")]
        {
            println!("{}: {}", bug.name(), needed.join(", "));
        }
    });
}

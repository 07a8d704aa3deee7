use shoal_runtime::Planted;

use super::*;
use crate::replay::{Origin, Replay};
use crate::scenario::Scenario;

/// A mesh under the faults of the shipped swarm.
fn swarm(first_seed: u64, seeds: u64, planted: Option<Planted>) -> Swarm {
    let origin = Origin { peers: Some(4), duration: Some("4s".parse().unwrap()), ..Origin::named("swarm") };
    let simulation = Replay::new(origin, first_seed).simulation(|path| panic!("there is no file {path}")).unwrap();
    let simulation = Simulation { planted, ..simulation };
    Swarm { simulation, first_seed, seeds, budget: None, threads: 2 }
}

/// A peer dies and comes back.
const UNLUCKY: &str = r#"
peers = 4
duration = "4s"
[workload]
data = "64 MiB"
object = "32 MiB"
[[fault]]
kind = "crash"
at = "1s"
for = "1s"
"#;

#[test]
fn seeds_on_two_threads_are_the_runs_that_they_are_alone() {
    let alone = |seed| Simulation::new(Scenario::parse(UNLUCKY).unwrap(), seed);
    let both = Swarm { simulation: alone(40), first_seed: 40, seeds: 2, budget: None, threads: 2 };
    let mut told = 0;
    let together = both.run(|_| told += 1).unwrap();
    assert!(told > 0);
    let violations = together.found.as_ref().map(|found| &found.report.violations);
    assert!(together.holds(), "{violations:?}");
    assert_eq!((together.runs, together.seeds_covered), (2, 2));
    assert!(together.operations > 0 && together.events > 0 && !together.checks.is_empty(), "{together:?}");
    assert_eq!(together.faults.get("crash"), Some(&2));

    let mut hash = blake3::Hasher::new();
    let mut traces = std::collections::BTreeSet::new();
    for seed in 40..42 {
        let alone = alone(seed).run().unwrap();
        hash.update(alone.trace.as_bytes());
        traces.insert(alone.trace);
    }
    assert_eq!(traces.len(), 2, "different seeds are different runs");
    assert_eq!(hash.finalize().to_hex()[..32], together.trace);
}

#[test]
fn the_first_violation_ends_it() {
    let report = swarm(50, u64::MAX, Some(Planted::AckBeforeReplicas)).run(|_| {}).unwrap();
    let found = report.found.unwrap();
    assert!(!found.report.holds());
    assert_eq!(found.report.seed, found.simulation.seed);
    assert!(found.report.violations[0].replay.contains("planted=ack-before-replicas"));
    assert!(report.runs < 10);
}

#[test]
fn the_time_ends_it_and_what_it_cuts_short_does_not_count() {
    let swarm = Swarm { budget: Some(Duration::from_millis(1)), ..swarm(60, u64::MAX, None) };
    let report = swarm.run(|_| {}).unwrap();
    assert_eq!((report.runs, report.seeds_covered, report.events), (0, 0, 0));
    assert!(report.holds());
}

#[test]
fn kinds_of_faults_that_no_seed_had_are_named() {
    let report = Swarm { seeds: 1, ..swarm(70, 1, None) }.run(|_| {}).unwrap();
    for kind in ["crash", "partition", "rot"] {
        assert!(report.faults.contains_key(kind) != report.faults_missing.contains(kind), "{kind}: {report:?}");
    }
    // A seed has at most five kinds.
    assert!(report.faults.len() <= 5 && report.faults_missing.len() >= 10, "{report:?}");
}

use std::collections::BTreeSet;

use shoal_runtime::Planted;

use super::*;
use crate::replay::{Origin, Replay};

/// The scenario that swarms run, small.
fn unlucky(seed: u64) -> Simulation {
    let origin = Origin { peers: Some(5), duration: Some("20s".parse().unwrap()), ..Origin::named("swarm") };
    Replay::new(origin, seed).simulation(|path| panic!("there is no file {path}")).unwrap()
}

#[test]
fn what_a_planted_bug_violates_is_shrunk_and_its_line_shows_it_again() {
    let simulation = Simulation { planted: Some(Planted::AckBeforeReplicas), ..unlucky(3) };
    let report = simulation.run().unwrap();
    let violation = &report.violations[0];
    assert!(simulation.strikes().len() > 3, "faults are needed that it could be shrunk by");

    let shrunk = shrink(&simulation, &report, Duration::from_secs(600), |_| {}).unwrap();
    assert_eq!(shrunk.nondeterministic, None);
    assert!(!shrunk.out_of_time);
    assert_eq!(shrunk.before.faults, simulation.strikes().len());
    // It takes no fault at all, nor anything else.
    assert_eq!((shrunk.after.faults, shrunk.after.jobs), (0, 0), "{}", shrunk.after);
    let small = &shrunk.report.violations[0];
    assert_eq!(small.invariant, violation.invariant);

    let line = small.replay.strip_prefix("shoal sim replay '").and_then(|line| line.strip_suffix('\'')).unwrap();
    let replay: Replay = line.parse().unwrap();
    assert_eq!(replay.planted, simulation.planted);
    let again = replay.simulation(|path| panic!("there is no file {path}")).unwrap();
    assert_eq!(again, shrunk.simulation);
    let again = again.run().unwrap();
    assert_eq!((&again.violations, &again.trace), (&shrunk.report.violations, &shrunk.report.trace));
    assert_eq!(replay.is_same_trace(&again.trace), Some(true));
}

#[test]
fn a_run_that_is_not_the_same_again_is_the_finding() {
    let simulation = Simulation { planted: Some(Planted::AckBeforeReplicas), ..unlucky(3) };
    let mut report = simulation.run().unwrap();
    report.trace = "f".repeat(32);
    let shrunk = shrink(&simulation, &report, Duration::from_secs(60), |_| {}).unwrap();
    let finding = shrunk.nondeterministic.unwrap();
    assert_eq!(finding.invariant, "nondeterministic");
    assert!(finding.what.contains("ffff") && finding.replay == report.violations[0].replay, "{finding:?}");
    assert_eq!((shrunk.runs, shrunk.simulation), (1, simulation));
}

#[test]
fn shrinking_ends_with_its_time() {
    let simulation = Simulation { planted: Some(Planted::AckBeforeReplicas), ..unlucky(3) };
    let report = simulation.run().unwrap();
    let shrunk = shrink(&simulation, &report, Duration::ZERO, |_| panic!("no time for anything")).unwrap();
    assert!(shrunk.out_of_time);
    assert_eq!((shrunk.before, &shrunk.report), (shrunk.after, &report));
}

#[test]
fn faults_that_are_left_out_do_not_renumber_the_others() {
    let all = unlucky(3);
    let numbers: Vec<usize> = all.strikes().iter().map(|strike| strike.number).collect();
    let only = Simulation { only: Some(BTreeSet::from([numbers[1], numbers[3]])), ..all.clone() };
    assert_eq!(only.strikes(), [all.strikes()[1].clone(), all.strikes()[3].clone()]);
}

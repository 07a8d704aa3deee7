use std::time::Duration;

use super::*;
use crate::Span;

fn scenario(peers: u32) -> Scenario {
    Scenario { peers, duration: Span(Duration::from_secs(20)), ..Scenario::default() }
}

#[test]
fn a_quiet_mesh_does_its_work_and_the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut scenario = scenario(7);
        scenario.workload.jobs.push(crate::scenario::JobEntry {
            at: Span(Duration::from_secs(2)),
            every: None,
            spec: crate::JobSpec::parse("input = \"data/\"").unwrap(),
        });
        Simulation::new(scenario, seed).run().unwrap()
    };
    let report = run(1);
    assert_eq!(report.violations, [], "{}", report.to_table());
    assert_eq!(report.jobs[0].right, Some(true), "{}", report.to_table());
    assert!(report.operations.values().map(|stats| stats.ok).sum::<u64>() > 50, "{:?}", report.operations);
    assert_eq!(run(1).trace, report.trace);
    assert_ne!(run(2).trace, report.trace);
}

/// However many a zone has: no name had two of its owners there.
#[test]
fn a_mesh_that_lost_a_whole_zone_for_good_lets_go_of_it() {
    let scenario = Scenario::parse(
        r#"
        title = "a zone goes"
        peers = 20
        zones = 5
        duration = "15s"
        heal = "2m"
        [timing]
        repair_delay = "5s"
        [[fault]]
        kind = "reclaim"
        at = "2s"
        peers = "20%"
        "#,
    )
    .unwrap();
    let report = Simulation::new(scenario, 1).run().unwrap();
    assert_eq!(report.violations, [], "{}", report.to_table());
    let last = report.samples.last().unwrap();
    assert!(!last.layout_joint && last.layout_version > 1 && last.hosts_up == 16, "{last:?}");
}

/// That is the scenario's doing, and said.
#[test]
fn what_rots_and_is_neither_read_nor_scrubbed_does_not_heal() {
    let scenario = Scenario::parse(
        r#"
        title = "nobody looks"
        peers = 5
        duration = "10s"
        heal = "30s"
        [workload]
        data = "1 GiB"
        clients = 0
        [[fault]]
        kind = "rot"
        at = "2s"
        chunks = 2
        "#,
    )
    .unwrap();
    let report = Simulation::new(scenario, 1).run().unwrap();
    let [violation] = &report.violations[..] else { panic!("{}", report.to_table()) };
    assert_eq!(violation.invariant, "heals");
    assert!(violation.what.contains("rotted") && violation.what.contains("604800 s"), "{}", violation.what);
}

/// A put takes longer than chunks that nothing lists are kept, and nothing that
/// was put is collected.
#[test]
fn what_comes_over_slow_lines_is_not_collected_on_its_way() {
    let scenario = Scenario::parse(
        r#"
        title = "slow puts"
        peers = 7
        replicas = 2
        duration = "40s"
        heal = "1m"
        [workload]
        data = "1 GiB"
        object = "256 MiB"
        chunk = "16 MiB"
        clients = 6
        think = "50ms"
        names = 12
        [timing]
        grace = "10s"
        repair_interval = "5s"
        [hosts]
        bandwidth = "40 MiB"
        "#,
    )
    .unwrap();
    for seed in 1..4 {
        let report = Simulation::new(scenario.clone(), seed).run().unwrap();
        assert_eq!(report.violations, [], "{}", report.to_table());
    }
}

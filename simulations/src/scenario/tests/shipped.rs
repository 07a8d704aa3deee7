//! The scenarios that are shipped: small ones of them run clean.

use super::*;
use crate::Simulation;

/// The same story for six peers in ten seconds.
fn small(name: &str) -> Scenario {
    const LENGTH: Duration = Duration::from_secs(12);
    let mut scenario = Scenario::named(name).unwrap();
    let factor = LENGTH.as_secs_f64() / scenario.duration.0.as_secs_f64();
    let shorter = |span: &mut Span| span.0 = span.0.mul_f64(factor);
    if scenario.peers > 6 {
        scenario = scenario.with_peers(6);
    }
    for fault in &mut scenario.faults {
        shorter(&mut fault.at);
        fault.every.iter_mut().for_each(shorter);
        fault.lasts.iter_mut().for_each(shorter);
    }
    let workload = &mut scenario.workload;
    workload.data.0 = workload.data.0.min(12 * workload.chunk.0);
    workload.object.0 = workload.object.0.min(3 * workload.chunk.0);
    for job in &mut workload.jobs {
        shorter(&mut job.at);
        job.every.iter_mut().for_each(shorter);
        job.spec.map.seconds_per_gb = 5e8 / workload.chunk.0 as f64;
        job.spec.reduce.tasks = job.spec.reduce.tasks.min(4);
        job.spec.groups = job.spec.groups.min(40);
    }
    scenario.timing.repair_delay.0 = scenario.timing.repair_delay.0.min(Duration::from_secs(8));
    scenario.timing.repair_interval.0 = scenario.timing.repair_interval.0.min(Duration::from_secs(10));
    scenario.duration = Span(LENGTH);
    scenario
}

fn check(name: &str) {
    let mut seeds = (1..100).map(|seed| Simulation::new(small(name), seed));
    // In so short a time a seed may have no faults.
    let simulation = seeds.find(|simulation| name == "quiet" || !simulation.strikes().is_empty()).unwrap();
    let report = simulation.run().unwrap();
    let broken: Vec<String> = report
        .violations
        .iter()
        .map(|broken| format!("{} at {:?}: {}", broken.invariant, broken.at, broken.what))
        .collect();
    assert!(broken.is_empty(), "{broken:#?}\n{}", report.to_table());
    assert!(report.jobs.iter().all(|job| job.right == Some(true)), "{:?}", report.jobs);
    assert!(!report.jobs.is_empty() && report.healed_after.is_some());
    assert!(name == "quiet" || !report.faults.is_empty());
}

#[test]
fn each_has_a_title_and_comments_and_makes_sense() {
    let names = Scenario::names();
    assert!(names.len() >= 11);
    for (name, title) in names {
        let scenario = Scenario::parse(Scenario::text(name).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(!title.is_empty() && title.len() < 80 && !title.contains('\n') && !scenario.about.is_empty(), "{name}");
        assert!(Scenario::text(name).unwrap().starts_with("# "), "{name}");
        assert!(small(name).check().is_ok());
    }
    assert_eq!(Scenario::named("nothing"), None);
}

macro_rules! runs_clean {
    ($($test:ident: $name:literal),* $(,)?) => {$(
        #[test]
        fn $test() {
            check($name);
        }
    )*};
}

runs_clean! {
    quiet_runs_clean: "quiet",
    churn_runs_clean: "churn",
    swarm_runs_clean: "swarm",
    spot_runs_clean: "spot",
    capacity_runs_clean: "capacity",
    partition_runs_clean: "partition",
    zone_loss_runs_clean: "zone-loss",
    power_cut_runs_clean: "power-cut",
    slow_disk_runs_clean: "slow-disk",
    disks_run_clean: "disks",
    join_storm_runs_clean: "join-storm",
}

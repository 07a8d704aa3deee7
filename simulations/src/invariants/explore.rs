use std::time::Duration;

use crate::{Scenario, Simulation, Span};

#[test]
#[ignore]
#[allow(clippy::all)]
fn explore() {
    let var = |name: &str, default: &str| std::env::var(name).unwrap_or(default.into());
    let from: u64 = var("FROM", "1").parse().unwrap();
    let count: u64 = var("COUNT", "5").parse().unwrap();
    let text = std::fs::read_to_string(var("FILE", "/dev/null")).unwrap();
    let mut bad = 0;
    for seed in from..from + count {
        let mut scenario: Scenario = if text.is_empty() { Scenario { peers: 6, duration: Span(Duration::from_secs(20)), ..Scenario::default() } } else { toml::from_str(&text).unwrap() };
        if let Ok(peers) = std::env::var("PEERS") { scenario.peers = peers.parse().unwrap(); }
        let mut simulation = Simulation::new(scenario, seed);
        simulation.aloud = std::env::var("ALOUD").is_ok();
        if let Ok(planted) = std::env::var("PLANTED") { simulation.planted = Some(planted.parse().unwrap()); }
        match simulation.run() {
            Ok(report) => {
                eprintln!("seed {seed}: {} events, {:?} wall {:.2} s, sim {:.0} s, healed {:?}, checks {:?}", report.events, report.trace, report.wall.as_secs_f64(), report.simulated.as_secs_f64(), report.healed_after, report.checks);
                for violation in &report.violations {
                    bad += 1;
                    eprintln!("  VIOLATION {} at {:.3}: {} {:?}", violation.invariant, violation.at.as_secs_f64(), violation.what, violation.peers);
                }
            }
            Err(error) => eprintln!("seed {seed}: ERROR {error}"),
        }
    }
    eprintln!("{bad} bad of {count}");
}

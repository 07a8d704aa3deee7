//! What is printed of a swarm.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use shoal_sim::SwarmReport;

use super::super::shrinking::Smaller;
use crate::failure::Failure;
use crate::stdout;
use crate::units::{self, count};

pub(super) fn print(report: &SwarmReport) -> Result<(), Failure> {
    match &report.found {
        None => stdout::line(format!("no violation in {} runs of '{}'", count(report.runs), report.scenario))?,
        Some(found) => {
            stdout::line(format!(
                "seed {} VIOLATES something, after {} runs\n",
                found.report.seed,
                count(report.runs)
            ))?;
            stdout::line(found.report.to_table().trim_end())?;
            stdout::line("")?;
        }
    }
    let last = report.first_seed.wrapping_add(report.seeds_covered.saturating_sub(1));
    let seeds = match report.seeds_covered {
        0 => "none to its end".to_owned(),
        1 => last.to_string(),
        covered => format!("{} to {last}, {} of them", report.first_seed, count(covered)),
    };
    let wall_ms = u64::try_from(report.wall.as_millis()).unwrap_or(u64::MAX);
    let simulated_ms = u64::try_from(report.simulated.as_millis()).unwrap_or(u64::MAX);
    let per_second = report.events as f64 / report.wall.as_secs_f64().max(1e-9);
    stdout::line(format!("  seeds       {seeds}"))?;
    stdout::line(format!("  simulated   {}, {} events", units::duration(simulated_ms), count(report.events)))?;
    stdout::line(format!("  checked     {} operations, {} jobs", count(report.operations), count(report.jobs)))?;
    stdout::line(format!("  invariants  {}", listed(&report.checks)))?;
    stdout::line(format!("  faults      {}", listed(&report.faults)))?;
    if !report.faults_missing.is_empty() {
        let missing: Vec<&str> = report.faults_missing.iter().map(String::as_str).collect();
        stdout::line(format!("  not struck  {}", missing.join(", ")))?;
    }
    stdout::line(format!(
        "  took        {} on {} threads: {:.0} simulated seconds per second, {} events/s",
        units::duration(wall_ms),
        report.threads,
        report.speed(),
        count(per_second as u64)
    ))?;
    stdout::line(format!("  trace       {}", report.trace))
}

/// `crash 12, pause 3`, wrapped to the column after the key.
fn listed(counts: &BTreeMap<String, u64>) -> String {
    const WIDTH: usize = 86;
    if counts.is_empty() {
        return "none".to_owned();
    }
    let (mut text, mut width) = (String::new(), 0);
    for (n, (name, times)) in counts.iter().enumerate() {
        let item = format!("{name} {}", count(*times));
        if n > 0 {
            text.push(',');
            if width + item.len() > WIDTH {
                text.push_str("\n             ");
                width = 0;
            }
            text.push(' ');
        }
        width += item.len() + 2;
        text.push_str(&item);
    }
    text
}

/// The found run line by line, and the verdict.
pub(super) fn lines(report: &SwarmReport, shrunk: Option<&Smaller>) -> Result<(), Failure> {
    if let Some(found) = &report.found {
        let all: Vec<Value> = found.report.json_lines().collect();
        // Its own verdict is part of that of the swarm.
        all[..all.len().saturating_sub(1)].iter().try_for_each(stdout::line)?;
    }
    stdout::line(verdict(report, shrunk))
}

fn verdict(report: &SwarmReport, shrunk: Option<&Smaller>) -> Value {
    let found = report.found.as_ref().map(|found| &found.report);
    let mut verdict = json!({
        "kind": "verdict",
        "holds": report.holds(),
        "violations": found.map(|found| &found.violations[..]).unwrap_or_default(),
        "seed": found.map_or(report.first_seed, |found| found.seed),
        "trace": found.map_or(&report.trace, |found| &found.trace),
        "simulated_seconds": report.simulated.as_secs_f64(),
        "wall_seconds": report.wall.as_secs_f64(),
        "simulated_seconds_per_wall_second": report.speed(),
        "shrunk": shrunk.map(Smaller::json),
    });
    if let (Value::Object(verdict), Ok(Value::Object(counts))) = (&mut verdict, serde_json::to_value(report)) {
        for (key, value) in counts {
            verdict.entry(key).or_insert(value);
        }
    }
    verdict
}

//! Any run can be had again from its seed, by anybody, from the command line.

use std::path::Path;

use serde_json::Value;

use crate::mesh::{alone, complained, said};

/// A small mesh, for two simulated seconds in which nothing goes wrong.
const TINY: &str = "
title = \"tiny\"
peers = 3
duration = \"2s\"
[workload]
data = \"64 MiB\"
object = \"32 MiB\"
clients = 2
";

/// A directory with `tiny.toml` in it.
fn dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("tiny.toml"), TINY).unwrap();
    dir
}

/// What it printed; it must have gone well.
fn ok(dir: &Path, args: &[&str]) -> String {
    said(args, alone(dir, args, None))
}

/// What it complained; it must have ended with this exit code.
fn fails(dir: &Path, code: i32, args: &[&str]) -> String {
    complained(code, args, alone(dir, args, None))
}

/// The last line, which is the verdict. Each line is an object.
fn verdict(text: &str) -> Value {
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["kind"].is_string()), "{text}");
    let last = lines.last().unwrap().clone();
    assert_eq!(last["kind"], "verdict");
    last
}

fn run(dir: &Path, seed: &str) -> Value {
    verdict(&ok(dir, &["sim", "--json", "--scenario", "tiny.toml", "--seed", seed]))
}

#[test]
fn the_same_seed_is_the_same_run_in_every_process() {
    let dir = dir();
    // Faults and all, whether or not they bring something to light.
    let run = |seed: &str| {
        let args = ["sim", "--json", "--no-shrink", "--peers", "5", "--duration", "6s", "--seed", seed];
        let output = alone(dir.path(), &args, None);
        let verdict = verdict(&String::from_utf8(output.stdout).unwrap());
        assert_eq!(output.status.code(), Some(i32::from(verdict["holds"] != true)), "{verdict}");
        verdict
    };
    let (first, other) = (run("7"), run("8"));
    assert_eq!(first["seed"], 7);
    assert!(first["faults"].as_u64().max(other["faults"].as_u64()) > Some(0), "{first}\n{other}");
    assert_eq!(run("7")["trace"], first["trace"]);
    assert_ne!(first["trace"], other["trace"]);
}

#[test]
fn the_last_line_of_json_is_the_verdict() {
    let verdict = run(dir().path(), "7");
    assert_eq!(verdict["violations"], Value::Array(Vec::new()));
    assert!(verdict["simulated_seconds"].as_f64().unwrap() >= 2.0 && verdict["wall_seconds"].is_f64(), "{verdict}");
    assert!(verdict["peak_memory_bytes"].as_u64().is_none_or(|bytes| bytes > 1 << 20), "{verdict}");
}

#[test]
fn a_line_replays_a_run_and_tells_whether_it_was_the_same() {
    let dir = dir();
    let trace = run(dir.path(), "7")["trace"].as_str().unwrap().to_owned();
    let line = |trace: &str| format!("scenario=tiny.toml seed=7 trace={trace}");
    // Telling the story does not change it.
    let same = ok(dir.path(), &["sim", "replay", "--verbose", &line(&trace)]);
    assert!(same.contains("the same run") && same.contains(&trace), "{same}");
    let other = line("0123456789abcdef");
    // A line need not be quoted.
    let args: Vec<&str> = ["sim", "replay", "--json"].into_iter().chain(other.split(' ')).collect();
    assert_eq!(verdict(&ok(dir.path(), &args))["same_trace"], false);
}

#[test]
fn a_swarm_runs_seed_after_seed() {
    let dir = dir();
    let swarm = |more: &[&str]| {
        let args = ["sim", "swarm", "--scenario", "tiny.toml", "--seed", "7", "--seeds", "2"];
        ok(dir.path(), &[&args, more].concat())
    };
    let told = swarm(&[]);
    for part in ["no violation in 2 runs", "7 to 8", "'tiny'", "invariants", "trace"] {
        assert!(told.contains(part), "{told}");
    }
    let verdict = verdict(&swarm(&["--json"]));
    assert_eq!((&verdict["seeds_covered"], &verdict["runs"]), (&2.into(), &2.into()));
    assert!(told.contains(verdict["trace"].as_str().unwrap()), "{told}");
}

#[test]
fn a_scenario_of_ones_own_begins_as_a_shipped_one() {
    let dir = dir();
    let listed = ok(dir.path(), &["sim", "scenarios"]);
    assert!(listed.contains("churn") && listed.contains("swarm"), "{listed}");
    let text = ok(dir.path(), &["sim", "scenarios", "quiet"]);
    std::fs::write(dir.path().join("mine.toml"), text).unwrap();
    std::fs::write(dir.path().join("job.toml"), "at = \"1s\"\ntitle = \"my <own> job\"\ninput = \"data/\"\n").unwrap();
    let args = ["sim", "--scenario", "mine.toml", "--peers", "3", "--duration", "2s", "--seed", "1"];
    let more = ["--lose", "0%", "--job", "job.toml", "--plot", "out.svg"];
    let told = ok(dir.path(), &[&args[..], &more].concat());
    assert!(told.contains("no violation") && told.contains("timeline") && told.contains("my <own> job"), "{told}");
    let svg = std::fs::read_to_string(dir.path().join("out.svg")).unwrap();
    assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{}", &svg[..80]);
    assert!(svg.trim_end().ends_with("</svg>"));
}

#[test]
fn what_cannot_be_run_is_refused_with_a_hint() {
    let dir = dir();
    std::fs::write(dir.path().join("bad.toml"), "peers = 3\npears = 4\n").unwrap();
    for (args, complaint) in [
        (&["sim", "--scenario", "sworm"][..], "shipped are quiet, churn, swarm"),
        (&["sim", "--scenario", "none.toml"], "cannot read 'none.toml'"),
        (&["sim", "--scenario", "bad.toml"], "pears"),
        (&["sim", "--lose", "110%"], "not between 0 and 100%"),
        (&["sim", "--duration", "3 weeks"], "weeks"),
        (&["sim", "--peers", "0"], "peers"),
        (&["sim", "--job", "none.toml"], "cannot read 'none.toml'"),
        (&["sim", "--seed", "1", "swarm"], "cannot be used with"),
        (&["sim", "replay", "scenario=swarm"], "without a seed"),
        (&["sim", "replay", "scenario=sworm seed=1"], "there is no scenario 'sworm'"),
        (&["sim", "replay", "scenario=swarm seed=1 pears=3"], "'pears'"),
        (&["sim", "replay", "scenario=swarm seed=1 planted=no-such-bug"], "'no-such-bug'"),
        (&["sim", "scenarios", "sworm"], "there is no scenario 'sworm'"),
        (&["sim", "swarm", "--seeds", "0"], "0"),
    ] {
        let said = fails(dir.path(), 2, args);
        assert!(said.contains(complaint), "{args:?}: {said}");
    }
}

#[test]
fn each_command_of_the_simulator_shows_examples() {
    let dir = dir();
    for command in [&[][..], &["swarm"], &["replay"], &["scenarios"], &["bench"]] {
        let args = [&["sim"], command, &["--help"]].concat();
        let help = ok(dir.path(), &args);
        assert!(help.contains("Examples:\n  shoal sim"), "{help}");
    }
}

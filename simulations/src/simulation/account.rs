//! The report of a run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Simulation;
use super::samples::Samples;
use crate::host::HostId;
use crate::ledger::{JobEnd, Outcome};
use crate::report::{JobLine, OperationStats, PeerLoad, Report, Violation};
use crate::watch::Watch;
use crate::world::{State, World};

pub(super) fn report(
    simulation: &Simulation,
    world: &World,
    samples: &Samples,
    checks: BTreeMap<String, u64>,
    healed_after: Option<Duration>,
) -> Report {
    let state = world.state();
    let now = state.heap.now();
    let collected = samples.collected();
    let trace = state.trace.digest();
    let violations = state.broken.iter().map(|(broken, last)| Violation {
        invariant: broken.invariant.into(),
        at: broken.at,
        what: broken.what.clone(),
        peers: broken.hosts.iter().map(|host| host.name()).collect(),
        last_events: last.iter().map(ToString::to_string).collect(),
        replay: simulation.replay_command(&trace),
    });
    let mut report = Report {
        scenario: simulation.scenario.title.clone(),
        seed: simulation.seed,
        peers: simulation.scenario.peers,
        trace: trace.clone(),
        events: state.trace.events(),
        simulated: now,
        wall: Duration::ZERO,
        formed: Duration::ZERO,
        formed_wall: Duration::ZERO,
        samples: collected.samples.clone(),
        loads: (0..).map(HostId).zip(&state.hosts).map(|(id, _)| load(&state, id)).collect(),
        hosts: Vec::new(),
        faults: collected.faults.clone(),
        tasks: Vec::new(),
        jobs: state.ledger.jobs.records.iter().enumerate().map(|(n, job)| job_line(n, job)).collect(),
        operations: operations(&state),
        violations: violations.collect(),
        checks,
        healed_after,
    };
    drop(collected);
    report.hosts = samples.spans(now);
    report
}

/// The report of a run that broke off without a world to ask.
pub(super) fn broken_off(simulation: &Simulation, watch: &Watch) -> Report {
    Report {
        scenario: simulation.scenario.title.clone(),
        seed: simulation.seed,
        peers: simulation.scenario.peers,
        events: watch.events(),
        simulated: watch.simulated(),
        ..Report::default()
    }
}

/// A panic that no world could judge any more.
pub(super) fn panicked(simulation: &Simulation, watch: &Watch, what: String, trace: &str) -> Violation {
    Violation {
        invariant: "no-panics".into(),
        at: watch.simulated(),
        what,
        peers: watch.host().map(HostId::name).into_iter().collect(),
        last_events: Vec::new(),
        replay: simulation.replay_command(trace),
    }
}

fn load(state: &State, id: HostId) -> PeerLoad {
    let host = &state.hosts[id.index()];
    let now = state.heap.now();
    let mut load = PeerLoad {
        peer: id.name(),
        zone: host.zone.clone(),
        up: host.stats.up,
        tasks: host.stats.tasks,
        busy: host.stats.busy,
        sent_bytes: host.stats.sent_bytes,
        received_bytes: host.stats.received_bytes,
        disk_written_bytes: host.disk.counters().written_bytes,
        chunks: state.ledger.copies.on(id) as u64,
    };
    if let Some(running) = &host.running {
        let counters = running.compute.counters();
        load.up += now.saturating_sub(running.since);
        load.tasks += counters.tasks_finished;
        load.busy += counters.busy;
    }
    load
}

fn job_line(n: usize, job: &crate::ledger::JobRecord) -> JobLine {
    JobLine {
        job: format!("job-{n}"),
        title: job.title.clone(),
        submitted: job.submitted,
        makespan: job.end.as_ref().map(|(at, _)| at.saturating_sub(job.submitted)),
        tasks: job.runs.iter().map(|run| run.tasks).sum(),
        reruns: job.runs.iter().map(|run| run.reruns).sum(),
        state: match &job.end {
            None => "running".into(),
            Some((_, JobEnd::Right | JobEnd::Wrong(_))) => "succeeded".into(),
            Some((_, JobEnd::Failed(why))) => format!("failed: {why}"),
        },
        right: job.end.as_ref().and_then(|(_, end)| match end {
            JobEnd::Right => Some(true),
            JobEnd::Wrong(_) => Some(false),
            JobEnd::Failed(_) => None,
        }),
    }
}

fn operations(state: &State) -> BTreeMap<String, OperationStats> {
    let mut all: BTreeMap<String, (OperationStats, Vec<Duration>)> = BTreeMap::new();
    for operation in state.ledger.history.all() {
        let (stats, times) = all.entry(operation.kind.as_str().into()).or_default();
        match &operation.outcome {
            Outcome::Unknown => stats.unknown += 1,
            Outcome::Failed(_) => stats.failed += 1,
            Outcome::Done { .. } | Outcome::Saw(_) | Outcome::Refused => {
                stats.ok += 1;
                times.extend(operation.returned.map(|returned| returned.saturating_sub(operation.invoked)));
            }
        }
    }
    all.into_iter()
        .map(|(kind, (mut stats, mut times))| {
            times.sort();
            let at =
                |percent: usize| times.get((times.len() * percent / 100).min(times.len().saturating_sub(1))).copied();
            stats.p50 = at(50);
            stats.p99 = at(99);
            (kind, stats)
        })
        .collect()
}

//! What the run looks like, once a virtual second.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::faults::Strike;
use crate::report::{FaultMark, HostSpan, HostState, Sample};
use crate::world::World;

/// Between two samples.
const EVERY: Duration = Duration::from_secs(1);

/// Collects samples while the world runs.
#[derive(Clone)]
pub(super) struct Samples(Arc<Mutex<Collected>>);

#[derive(Default)]
pub(super) struct Collected {
    pub(super) samples: Vec<Sample>,
    pub(super) faults: Vec<FaultMark>,
    pub(super) hosts: Vec<HostSpan>,
    /// Per host, its state and since when.
    states: Vec<(HostState, Duration)>,
}

impl Samples {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn collected(&self) -> MutexGuard<'_, Collected> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a sample now and every second from now on.
    pub(super) fn schedule(&self, world: &World) {
        let samples = self.clone();
        world.after(EVERY, "sample", move |world| {
            samples.take(world);
            samples.schedule(world);
        });
    }

    pub(super) fn mark(&self, begun: Duration, strike: &Strike) {
        let names: Vec<String> = strike.victims.iter().take(3).map(|host| host.name()).collect();
        let more = strike.victims.len().saturating_sub(names.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        self.collected().faults.push(FaultMark {
            at: begun + strike.at,
            until: strike.until().map(|until| begun + until),
            what: format!("{} {}{more}", strike.kind.name(), names.join(", ")),
        });
    }

    fn take(&self, world: &World) {
        let sample = sample(world);
        let states: Vec<HostState> = {
            let state = world.state();
            let of = |host: &crate::host::Host| match (&host.running, host.paused_until) {
                (None, _) => HostState::Down,
                (Some(_), Some(_)) => HostState::Paused,
                (Some(_), None) => HostState::Up,
            };
            state.hosts.iter().map(of).collect()
        };
        let now = sample.at;
        let collected = &mut *self.collected();
        collected.samples.push(sample);
        collected.states.resize(states.len(), (HostState::Down, now));
        for (n, state) in states.into_iter().enumerate() {
            let (before, since) = collected.states[n];
            if before != state {
                if now > since {
                    let peer = crate::host::HostId(n as u32).name();
                    collected.hosts.push(HostSpan { peer, from: since, to: now, state: before });
                }
                collected.states[n] = (state, now);
            }
        }
    }

    /// The spans that are not over yet, too.
    pub(super) fn spans(&self, now: Duration) -> Vec<HostSpan> {
        let collected = self.collected();
        let mut spans = collected.hosts.clone();
        for (n, (state, since)) in collected.states.iter().enumerate() {
            let peer = crate::host::HostId(n as u32).name();
            spans.push(HostSpan { peer, from: *since, to: now, state: *state });
        }
        spans
    }
}

fn sample(world: &World) -> Sample {
    let replicas = world.config().replicas as usize;
    let peers = world.peers();
    let views: Vec<usize> = peers.iter().map(|(_, peer)| peer.live_count() + 1).collect();
    let layout = peers.iter().filter_map(|(_, peer)| peer.layout()).max_by_key(|layout| layout.version);
    let state = world.state();
    let up = state.hosts.iter().filter(|host| host.is_up()).count();
    let paused = state.hosts.iter().filter(|host| host.is_up() && host.paused_until.is_some()).count();
    let wanted = replicas.min(layout.as_ref().map_or(1, |layout| layout.members.len()));
    let (mut chunks, mut under, mut without) = (0, 0, 0);
    for (chunk, _) in state.ledger.copies.promised().filter(|(chunk, _)| state.ledger.is_wanted(*chunk)) {
        let copies = state.ledger.copies.holders(chunk).filter(|host| state.hosts[host.index()].is_up()).count();
        chunks += 1;
        under += u64::from(copies < wanted);
        without += u64::from(copies == 0);
    }
    let mut tasks_running = 0;
    let mut tasks_done: u64 = state.hosts.iter().map(|host| host.stats.tasks).sum();
    for running in state.hosts.iter().filter_map(|host| host.running.as_ref()) {
        tasks_running += running.compute.running().len();
        tasks_done += running.compute.counters().tasks_finished;
    }
    let jobs = &state.ledger.jobs.records;
    let operations = state.ledger.history.counts();
    Sample {
        at: state.heap.now(),
        hosts_up: (up - paused) as u32,
        hosts_paused: paused as u32,
        members_alive_min: views.iter().min().copied().unwrap_or(0) as u32,
        members_alive_max: views.iter().max().copied().unwrap_or(0) as u32,
        layout_version: layout.as_ref().map_or(0, |layout| layout.version),
        layout_joint: layout.as_ref().is_some_and(|layout| layout.is_joint()),
        chunks,
        chunks_under_replicated: under,
        chunks_without_copy: without,
        tasks_running: tasks_running as u32,
        tasks_done,
        tasks_rerun: jobs.iter().flat_map(|job| &job.runs).map(|run| run.reruns).sum(),
        jobs_running: jobs.iter().filter(|job| job.end.is_none()).count() as u32,
        bytes_sent: state.network.sent_bytes,
        operations_ok: operations.ok,
        operations_failed: operations.failed,
    }
}

//! What an engine has done and is doing, for invariants and reports.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shoal_ports::Clock;
use shoal_types::OutputId;

/// Counters since the engine started. Started are those that finished, failed,
/// were cancelled, or run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ComputeCounters {
    pub tasks_started: u64,
    pub tasks_finished: u64,
    pub tasks_failed: u64,
    pub tasks_cancelled: u64,
    /// Virtual time for which slots were taken by tasks that have ended,
    /// waiting for inputs included.
    pub busy: Duration,
}

pub(super) struct Tally {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counters: ComputeCounters,
    /// By the order in which they started.
    running: BTreeMap<u64, (OutputId, Duration)>,
}

impl Tally {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default() }
    }

    pub(super) fn counters(&self) -> ComputeCounters {
        self.lock().counters
    }

    pub(super) fn running(&self) -> Vec<(OutputId, Duration)> {
        self.lock().running.values().copied().collect()
    }

    /// A task starts; it runs until the entry is dropped.
    pub(super) fn enter(self: &Arc<Self>, output: OutputId) -> Entry {
        let since = self.clock.now();
        let mut state = self.lock();
        state.counters.tasks_started += 1;
        let number = state.counters.tasks_started;
        state.running.insert(number, (output, since));
        drop(state);
        Entry { tally: self.clone(), number, since, end: End::Cancelled }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy)]
enum End {
    Finished,
    Failed,
    Cancelled,
}

/// A running task. Dropped before it says how it ended, it was cancelled.
pub(super) struct Entry {
    tally: Arc<Tally>,
    number: u64,
    since: Duration,
    end: End,
}

impl Entry {
    /// Since it started, in virtual time.
    pub(super) fn elapsed(&self) -> Duration {
        self.tally.clock.now().saturating_sub(self.since)
    }

    pub(super) fn end(mut self, finished: bool) {
        self.end = if finished { End::Finished } else { End::Failed };
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let elapsed = self.elapsed();
        let mut state = self.tally.lock();
        state.running.remove(&self.number);
        let counters = &mut state.counters;
        counters.busy += elapsed;
        match self.end {
            End::Finished => counters.tasks_finished += 1,
            End::Failed => counters.tasks_failed += 1,
            End::Cancelled => counters.tasks_cancelled += 1,
        }
    }
}

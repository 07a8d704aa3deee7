//! How full a peer's queues are.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::chunks::{self, Acks};
use crate::context::Context;

/// How much there is of something that has a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gauge {
    pub name: &'static str,
    pub now: usize,
    /// `now` is never above it.
    pub bound: usize,
}

/// What the actors say of their queues, whenever one has changed.
#[derive(Default)]
pub(crate) struct Levels {
    pub(crate) waiting_tasks: AtomicUsize,
    pub(crate) running_tasks: AtomicUsize,
    pub(crate) waiting_registers: AtomicUsize,
    pub(crate) refusals: AtomicUsize,
    pub(crate) proposals: AtomicUsize,
}

/// Notes how much there is now.
pub(crate) fn note(level: &AtomicUsize, now: usize) {
    level.store(now, Ordering::Relaxed);
}

/// Everything that this peer holds or does at once, with its bound.
pub(crate) fn gauges(context: &Context) -> Vec<Gauge> {
    let bounds = &context.config.bounds;
    let levels = &context.levels;
    let now = |level: &AtomicUsize| level.load(Ordering::Relaxed);
    let (running_jobs, finished_jobs) = context.jobs.counts();
    [
        ("running jobs", running_jobs, bounds.running_jobs),
        ("finished jobs", finished_jobs, bounds.finished_jobs),
        ("waiting tasks", now(&levels.waiting_tasks), bounds.waiting_tasks),
        ("running tasks", now(&levels.running_tasks), context.config.info.slots.max(1) as usize),
        ("waiting register operations", now(&levels.waiting_registers), crate::registers::WAITING_MAX),
        (
            "chunks coming in",
            bounds.inbound_chunks.saturating_sub(context.inbound_chunks.available_permits()),
            bounds.inbound_chunks,
        ),
        (
            "bytes of copies that follow",
            bounds.lagging_bytes.saturating_sub(context.lagging_bytes.available_permits()),
            bounds.lagging_bytes,
        ),
        (
            "chunks being kept here",
            chunks::KEEPING_AT_ONCE.saturating_sub(context.keeping_turns.available_permits()),
            chunks::KEEPING_AT_ONCE,
        ),
        ("peers that acknowledge copies or do not", context.acks.known(), Acks::PEERS_MAX),
        ("cached chunk bytes", context.cache.bytes(), usize::try_from(bounds.chunk_cache_bytes).unwrap_or(usize::MAX)),
        ("layout proposals", now(&levels.proposals), 1),
        ("refusals", now(&levels.refusals), crate::members::REFUSALS_MAX),
    ]
    .into_iter()
    .map(|(name, now, bound)| Gauge { name, now, bound })
    .collect()
}

//! Repair gives way to what somebody waits for.
//!
//! ```text
//!   nobody waits   | chunk | chunk | chunk |      two at a time, one after the other
//!                  | chunk | chunk | chunk |
//!   somebody does  | chunk |· · · rest · · ·| chunk |· · · rest · · ·|
//! ```
//!
//! Both sides do so, each by what goes on there: whoever brings a chunk, and
//! whoever takes it, who lets the next one in only after the rest. The bytes are
//! sent when it is their turn there, so that the line is others' until then.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use shoal_types::{Error, Result};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::context::Context;

/// The rest after a chunk, as a multiple of what the chunk took: repair has so
/// little of the disk, the link and the cores then, that others notice it little.
const REST_TIMES: u32 = 4;

/// A chunk that took very long, as the link is slow or another peer is, needs
/// no longer rest than this.
const REST_MAX: Duration = Duration::from_secs(2);

/// Chunks that are brought from here, and taken here, at once. Those that are
/// put have room of their own (`Bounds::inbound_chunks`).
const AT_ONCE: u32 = 2;

/// How long to wait for a turn to take one; whoever brings it hears then that
/// this peer is busy. Repair is slow while somebody waits, and never stops:
/// one is always taken.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// When to bring it again.
const RETRY_AFTER_MS: u64 = 2_000;

/// Whose turn it is to move a chunk: two at once, and one alone while
/// somebody waits for this peer.
pub(crate) struct Turns {
    bringing: Semaphore,
    taking: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        let turns = || Semaphore::new(AT_ONCE as usize);
        Self { bringing: turns(), taking: turns() }
    }
}

/// A chunk of repair that moves.
pub(crate) struct Move<'a> {
    context: &'a Arc<Context>,
    began: Duration,
    _turn: SemaphorePermit<'a>,
}

impl<'a> Move<'a> {
    /// Before a chunk is brought to another peer.
    pub(crate) async fn bring(context: &'a Arc<Context>) -> Result<Self> {
        Self::begin(context, &context.repair_turns.bringing).await
    }

    /// Before a chunk is taken from another peer.
    ///
    /// # Errors
    /// [`Error::Busy`] when others have taken all turns for long.
    pub(crate) async fn take(context: &'a Arc<Context>) -> Result<Self> {
        let begun = std::pin::pin!(Self::begin(context, &context.repair_turns.taking));
        match select(begun, context.ports.clock.sleep(TURN_WAIT_MAX)).await {
            Either::Left((begun, _)) => begun,
            Either::Right(_) => Err(Error::Busy { peer: context.me, retry_after_ms: RETRY_AFTER_MS }),
        }
    }

    async fn begin(context: &'a Arc<Context>, turns: &'a Semaphore) -> Result<Self> {
        let is_busy = || context.foreground.is_busy(context.ports.clock.now());
        let turn = loop {
            let is_alone = is_busy();
            let turn = turns.acquire_many(if is_alone { AT_ONCE } else { 1 }).await;
            let turn = turn.map_err(|_| context.not_ready("it is stopping"))?;
            // Somebody may have come while it waited.
            if is_alone || !is_busy() {
                break turn;
            }
        };
        Ok(Self { context, began: context.ports.clock.now(), _turn: turn })
    }

    /// After it has moved: returns when the next one may.
    pub(crate) async fn rest(self) {
        let clock = &self.context.ports.clock;
        let now = clock.now();
        let rest = rest(now.saturating_sub(self.began), self.context.foreground.is_busy(now));
        if !rest.is_zero() {
            clock.sleep(rest).await;
        }
    }
}

/// How long to rest after a chunk that `took` so long.
fn rest(took: Duration, somebody_waits: bool) -> Duration {
    if somebody_waits { (took * REST_TIMES).min(REST_MAX) } else { Duration::ZERO }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repair_rests_for_others_only_and_never_for_long() {
        let took = Duration::from_millis(100);
        assert_eq!(rest(took, false), Duration::ZERO);
        assert_eq!(rest(took, true), took * REST_TIMES);
        assert_eq!(rest(took * 100, true), REST_MAX);
    }
}

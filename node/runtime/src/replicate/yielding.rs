//! Repair gives way to what somebody waits for.
//!
//! ```text
//!   nobody waits   | chunk | chunk | chunk |      two at a time, one after the other
//!                  | chunk | chunk | chunk |
//!   somebody does  | chunk |· · · rest · · ·| chunk |· · · rest · · ·|
//! ```
//!
//! Both sides do so, each by what goes on there: whoever brings a chunk, and
//! whoever takes it, who lets the next one in only after the rest.

use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::context::Context;

/// The rest after a chunk, as a multiple of what the chunk took: repair has so
/// little of the disk, the link and the cores then, that others notice it little.
const REST_TIMES: u32 = 4;

/// A chunk that took very long, as the link is slow or another peer is, needs
/// no longer rest than this.
const REST_MAX: Duration = Duration::from_secs(2);

/// How long to wait for a turn. Then it goes on: repair is slow while somebody
/// waits, and never stops.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Whose turn it is to move a chunk while somebody waits for this peer.
pub(crate) struct Turns {
    bringing: Semaphore,
    taking: Semaphore,
}

impl Default for Turns {
    fn default() -> Self {
        Self { bringing: Semaphore::new(1), taking: Semaphore::new(1) }
    }
}

/// A chunk of repair that moves.
pub(crate) struct Move<'a> {
    context: &'a Arc<Context>,
    began: Duration,
    _turn: Option<SemaphorePermit<'a>>,
}

impl<'a> Move<'a> {
    /// Before a chunk is brought to another peer.
    pub(crate) async fn bring(context: &'a Arc<Context>) -> Self {
        Self::begin(context, &context.repair_turns.bringing).await
    }

    /// Before a chunk is taken from another peer.
    pub(crate) async fn take(context: &'a Arc<Context>) -> Self {
        Self::begin(context, &context.repair_turns.taking).await
    }

    async fn begin(context: &'a Arc<Context>, turns: &'a Semaphore) -> Self {
        let clock = &context.ports.clock;
        let mut turn = None;
        if context.foreground.is_busy(clock.now()) {
            let acquired = std::pin::pin!(turns.acquire());
            if let Either::Left((permit, _)) = select(acquired, clock.sleep(TURN_WAIT_MAX)).await {
                turn = permit.ok();
            }
        }
        Self { context, began: clock.now(), _turn: turn }
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

//! Whether somebody waits for what this peer does: clients here, and the
//! peers whose clients wait for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::context::{Context, lock};

/// What is under way that somebody waits for.
#[derive(Default)]
pub(crate) struct Foreground(Mutex<State>);

#[derive(Default)]
struct State {
    under_way: usize,
    /// When something of it ended last.
    ended: Option<Duration>,
}

impl Foreground {
    /// So long after the last operation the next one is expected: small ones
    /// take no time, and come again and again.
    const LINGER: Duration = Duration::from_millis(500);

    /// Whether somebody waits, or is about to come again.
    pub(crate) fn is_busy(&self, now: Duration) -> bool {
        let state = lock(&self.0);
        state.under_way > 0 || state.ended.is_some_and(|ended| now.saturating_sub(ended) < Self::LINGER)
    }

    fn begin(&self) {
        lock(&self.0).under_way += 1;
    }

    fn end(&self, now: Duration) {
        let state = &mut *lock(&self.0);
        state.under_way -= 1;
        state.ended = Some(now);
    }
}

/// Something that somebody waits for; it ends with the value.
pub(crate) struct Awaited(Arc<Context>);

impl Awaited {
    pub(crate) fn begin(context: &Arc<Context>) -> Self {
        context.foreground.begin();
        Self(context.clone())
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.foreground.end(self.0.ports.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_busy_while_somebody_waits_and_a_little_longer() {
        let foreground = Foreground::default();
        let at = Duration::from_millis;
        assert!(!foreground.is_busy(at(0)));
        foreground.begin();
        foreground.begin();
        foreground.end(at(10));
        assert!(foreground.is_busy(at(60_000)));
        foreground.end(at(60_000));
        assert!(foreground.is_busy(at(60_000) + Foreground::LINGER - at(1)));
        assert!(!foreground.is_busy(at(60_000) + Foreground::LINGER));
    }
}

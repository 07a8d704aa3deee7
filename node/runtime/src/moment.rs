use std::time::Duration;

use crate::context::Context;

/// A point in time, by both clocks. The one that counts may stand still while
/// a machine sleeps. That of the wall does not; it may be put back, which the
/// other one tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub(crate) at: Duration,
    pub(crate) wall_ms: u64,
}

impl Moment {
    pub(crate) fn now(context: &Context) -> Self {
        let clock = &context.ports.clock;
        Self { at: clock.now(), wall_ms: clock.wall_ms() }
    }

    /// How long ago it is, by the clock that says longer.
    pub(crate) fn age(self, context: &Context) -> Duration {
        self.until(Self::now(context))
    }

    /// How long it is until a later one, by the clock that says longer.
    pub(crate) fn until(self, later: Self) -> Duration {
        let by_the_wall = Duration::from_millis(later.wall_ms.saturating_sub(self.wall_ms));
        later.at.saturating_sub(self.at).max(by_the_wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_clocks_that_one_counts_which_says_longer() {
        let moment = |at, wall_ms| Moment { at: Duration::from_secs(at), wall_ms };
        assert_eq!(moment(7, 9_000).until(moment(9, 9_500)), Duration::from_secs(2));
        assert_eq!(moment(7, 9_000).until(moment(9, 13_000)), Duration::from_secs(4), "it slept");
        assert_eq!(moment(7, 9_000).until(moment(9, 1_000)), Duration::from_secs(2), "it was put back");
        assert_eq!(moment(7, 9_000).until(moment(6, 8_000)), Duration::ZERO);
    }
}

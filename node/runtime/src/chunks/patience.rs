use std::sync::Mutex;
use std::time::Duration;

use crate::context::lock;

/// How long a holder of a chunk is waited for before another is asked too.
///
/// A few times what holders took lately to begin to answer: whoever takes much
/// longer has too much to do, or a disk that is slow, and another copy is as
/// good. Where all are slow the measure grows with them, so that nobody is
/// asked twice for being as slow as everybody.
pub(crate) struct Patience(Mutex<Duration>);

impl Patience {
    /// Before any has answered: about what it takes to read and hash the
    /// longest chunk from a fast disk.
    const FIRST: Duration = Duration::from_millis(100);

    /// So many times what they took lately.
    const TIMES: u32 = 4;

    /// Less would ask two for what one answers a little later than usual.
    const MIN: Duration = Duration::from_millis(50);

    /// Longer than it takes to read the longest chunk from a spinning disk.
    const MAX: Duration = Duration::from_secs(2);

    /// The latest answer counts for one part in so many.
    const SMOOTHING: u32 = 8;

    pub(crate) fn new() -> Self {
        Self(Mutex::new(Self::FIRST))
    }

    /// How long to wait before another is asked.
    pub(crate) fn limit(&self) -> Duration {
        (*lock(&self.0) * Self::TIMES).clamp(Self::MIN, Self::MAX)
    }

    /// A holder began to answer after `took`.
    pub(crate) fn note(&self, took: Duration) {
        let lately = &mut *lock(&self.0);
        *lately = (*lately * (Self::SMOOTHING - 1) + took.min(Self::MAX)) / Self::SMOOTHING;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: impl IntoIterator<Item = u64>) -> Duration {
        let patience = Patience::new();
        for ms in answers {
            patience.note(Duration::from_millis(ms));
        }
        patience.limit()
    }

    #[test]
    fn it_follows_what_holders_take_within_its_bounds() {
        assert_eq!(after([]), Patience::FIRST * Patience::TIMES);
        assert_eq!(after([1; 100]), Patience::MIN);
        assert_eq!(after([60_000; 100]), Patience::MAX);
        let usual = after([30; 100]).as_millis();
        assert!((110..=130).contains(&usual), "{usual} ms");
    }

    #[test]
    fn one_that_is_late_does_not_make_it_wait_long_for_the_next() {
        let usual = after([20; 100]);
        assert!(after(std::iter::repeat_n(20, 100).chain([400])) < usual * 4);
    }
}

//! Whoever is slow itself is patient with others.

use std::time::Duration;

/// Timers are late by less on any host that has time for its peer.
const LATE_MIN: Duration = Duration::from_millis(50);

/// Nobody is granted more than that, however long this peer stood still: what
/// has come meanwhile is dealt with by then.
const GRACE_MAX: Duration = Duration::from_secs(2);

/// How late this peer's own timers come: as late as it hears what others have
/// answered. The local health of Lifeguard (Dadgar et al., 2018), but measured
/// in time, so that each gets as much more as it needs.
#[derive(Debug, Default)]
pub(super) struct Patience {
    late: Duration,
}

impl Patience {
    /// A timer came so late. What was worse is forgotten little by little:
    /// half of it in some seconds.
    pub(super) fn note(&mut self, late: Duration) {
        self.late = late.max(self.late * 31 / 32);
    }

    /// How much more time others have to answer.
    pub(super) fn grace(&self) -> Option<Duration> {
        (self.late >= LATE_MIN).then_some(self.late.min(GRACE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_was_late_is_patient_for_a_while_and_not_for_ever() {
        let ms = Duration::from_millis;
        let mut patience = Patience::default();
        patience.note(ms(20));
        assert_eq!(patience.grace(), None);
        patience.note(ms(700));
        assert_eq!(patience.grace(), Some(ms(700)));
        patience.note(ms(100));
        assert!(patience.grace().is_some_and(|grace| grace > ms(650)));
        patience.note(ms(30_000));
        assert_eq!(patience.grace(), Some(GRACE_MAX));
        for _ in 0..300 {
            patience.note(ms(1));
        }
        assert_eq!(patience.grace(), None);
    }
}

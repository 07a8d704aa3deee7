//! How far a run is, seen from outside, and a way to end it early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::host::HostId;

/// Events between two looks at the real clock.
const LOOK_EVERY: u64 = 256;

/// A hand on a run, from any thread. Looking changes nothing in the run.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    stop: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    deadline: Option<Instant>,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct Seen {
    now: AtomicU64,
    host: AtomicU32,
    events: AtomicU64,
    /// Nanoseconds; `u64::MAX` before.
    begun: AtomicU64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            now: AtomicU64::new(0),
            host: AtomicU32::new(u32::MAX),
            events: AtomicU64::new(0),
            begun: AtomicU64::new(u64::MAX),
        }
    }
}

impl Watch {
    /// One that ends its run when so much real time has passed from now on.
    #[allow(clippy::disallowed_methods, reason = "as below")]
    pub fn within(time: Option<Duration>) -> Self {
        Self { deadline: time.and_then(|time| Instant::now().checked_add(time)), ..Self::default() }
    }

    /// For another run, which ends when this one's is told to.
    pub fn another(&self) -> Self {
        Self { stop: self.stop.clone(), deadline: self.deadline, ..Self::default() }
    }

    /// Ends the run, and those of all watches made from this one. What it has
    /// found by then is reported.
    pub fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Whether it was told to end, or its time is over.
    #[allow(clippy::disallowed_methods, reason = "how long people want to wait is a matter of real time")]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed) || self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Virtual time that has passed.
    pub fn simulated(&self) -> Duration {
        Duration::from_nanos(self.seen.now.load(Relaxed))
    }

    /// Events that were handled.
    pub fn events(&self) -> u64 {
        self.seen.events.load(Relaxed)
    }

    /// The moment at which the mesh was there, with its data, and its work began.
    pub fn begun(&self) -> Option<Duration> {
        Some(self.seen.begun.load(Relaxed)).filter(|nanos| *nanos != u64::MAX).map(Duration::from_nanos)
    }

    pub(crate) fn begin(&self, at: Duration) {
        self.seen.begun.store(nanos(at), Relaxed);
    }

    /// Takes note of the next event. Whether the run is to go on.
    pub(crate) fn turn(&self, now: Duration, host: Option<HostId>, events: u64) -> bool {
        self.seen.now.store(nanos(now), Relaxed);
        self.seen.host.store(host.map_or(u32::MAX, |host| host.0), Relaxed);
        self.seen.events.store(events, Relaxed);
        let goes_on = !self.stop.load(Relaxed) && (!events.is_multiple_of(LOOK_EVERY) || !self.is_stopped());
        if !goes_on {
            self.cut.store(true, Relaxed);
        }
        goes_on
    }

    /// Whether the run was ended before its end: its report is of a part of it.
    pub fn was_cut(&self) -> bool {
        self.cut.load(Relaxed)
    }

    /// The host of the event that is being handled.
    pub(crate) fn host(&self) -> Option<HostId> {
        Some(self.seen.host.load(Relaxed)).filter(|host| *host != u32::MAX).map(HostId)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_ends_those_that_were_made_from_it_and_no_others() {
        let (one, alone) = (Watch::default(), Watch::default());
        let another = one.another();
        assert!(another.turn(Duration::from_secs(1), Some(HostId(3)), 1));
        assert_eq!(
            (another.simulated(), another.host(), another.events()),
            (Duration::from_secs(1), Some(HostId(3)), 1)
        );
        assert_eq!((one.simulated(), one.begun()), (Duration::ZERO, None));
        one.stop();
        assert!(another.is_stopped() && !another.turn(Duration::from_secs(1), None, 2));
        assert!(!alone.is_stopped());
    }
}

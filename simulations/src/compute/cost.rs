//! What work costs, in virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use shoal_ports::Clock;

/// Work between two looks at how slow the peer is, and between two inputs at
/// the least: short beside a task, long beside an event.
const STEP: Duration = Duration::from_millis(250);

/// How long a peer's work takes, in percent of what it should. The world may
/// change it while tasks run: all clones are one.
#[derive(Debug, Clone)]
pub struct Slowness(Arc<AtomicU32>);

impl Default for Slowness {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(100)))
    }
}

impl Slowness {
    /// 100 is as fast as planned, 400 a quarter of that. 0 counts as 1.
    pub fn set(&self, percent: u32) {
        self.0.store(percent, Relaxed);
    }

    pub fn percent(&self) -> u32 {
        self.0.load(Relaxed).max(1)
    }

    fn stretch(&self, work: Duration) -> Duration {
        let nanos = work.as_nanos() * u128::from(self.percent()) / 100;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Turns bytes that a task has read into time that it takes.
pub(super) struct Meter {
    clock: Arc<dyn Clock>,
    slowness: Slowness,
    /// Nominal bytes per real one.
    bytes_scale: u64,
    /// Seconds per GB are nanoseconds per byte.
    nanos_per_byte: f64,
    /// Work that was charged and not done yet.
    owed: Duration,
}

impl Meter {
    pub(super) fn new(clock: Arc<dyn Clock>, slowness: Slowness, bytes_scale: u64, seconds_per_gb: f64) -> Self {
        Self { clock, slowness, bytes_scale, nanos_per_byte: seconds_per_gb, owed: Duration::ZERO }
    }

    /// Charges for so many real bytes. Small charges add up before they take time.
    pub(super) async fn charge(&mut self, bytes: usize) {
        let nominal = (bytes as u64).saturating_mul(self.bytes_scale);
        let nanos = (nominal as f64 * self.nanos_per_byte).round();
        // A float beyond the integers becomes the largest.
        self.owed = self.owed.saturating_add(Duration::from_nanos(nanos as u64));
        while self.owed >= STEP {
            self.owed -= STEP;
            self.clock.sleep(self.slowness.stretch(STEP)).await;
        }
    }

    /// Takes the time for all that was charged.
    pub(super) async fn settle(&mut self) {
        let rest = std::mem::take(&mut self.owed);
        if !rest.is_zero() {
            self.clock.sleep(self.slowness.stretch(rest)).await;
        }
    }
}

use std::time::Duration;

use super::{JobEntry, Scenario, Share, Span};
use crate::faults::{FaultEntry, FaultKind, Reclaim, Victims};

impl Scenario {
    /// The same with so many hosts. Of latecomers there is the same share.
    #[must_use]
    pub fn with_peers(mut self, peers: u32) -> Self {
        let late = u64::from(self.latecomers) * u64::from(peers) / u64::from(self.peers.max(1));
        self.latecomers = u32::try_from(late).unwrap_or(0).min(peers.saturating_sub(1));
        self.zones = self.zones.min(peers.max(1));
        self.peers = peers;
        self.vary.peers = None;
        self
    }

    /// The same with so much time for work and faults. What would come after
    /// its end is left out.
    #[must_use]
    pub fn with_duration(mut self, duration: Duration) -> Self {
        self.faults.retain(|fault| fault.at.0 < duration);
        self.workload.jobs.retain(|job| job.at.0 < duration);
        self.duration = Span(duration);
        self
    }

    /// The same with that share of the hosts reclaimed: in each wave of the
    /// scenario, or in one of ours a third of the way if it has none.
    #[must_use]
    pub fn with_loss(mut self, share: Share) -> Self {
        let is_reclaim = |fault: &&mut FaultEntry| matches!(fault.kind, FaultKind::Reclaim(_));
        let mut waves = self.faults.iter_mut().filter(is_reclaim).peekable();
        if waves.peek().is_some() {
            waves.for_each(|wave| wave.peers = Victims::Share(share));
        } else {
            let kind = FaultKind::Reclaim(Reclaim::default());
            let wave =
                FaultEntry { at: Span(self.duration.0 / 3), peers: Victims::Share(share), ..FaultEntry::new(kind) };
            self.faults.push(wave);
        }
        self
    }

    /// The same with one job more.
    #[must_use]
    pub fn with_job(mut self, job: JobEntry) -> Self {
        self.workload.jobs.push(job);
        self
    }
}

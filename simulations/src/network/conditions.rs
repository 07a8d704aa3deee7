use std::time::Duration;

use crate::host::HostId;

/// How good a link is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinkQuality {
    /// The shortest way of a packet.
    pub(crate) latency: Duration,
    /// What chance adds to it, at most.
    pub(crate) jitter: Duration,
    /// Packets lost, 0–1.
    pub(crate) loss: f64,
    /// Packets that arrive twice, 0–1.
    pub(crate) duplicate: f64,
    /// Packets that are overtaken by later ones, 0–1.
    pub(crate) reorder: f64,
    /// Bytes per second on this way alone, if less than the hosts' lines.
    pub(crate) bandwidth: Option<u64>,
}

impl Default for LinkQuality {
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200),
            jitter: Duration::from_micros(300),
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            bandwidth: None,
        }
    }
}

/// Some hosts of a world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HostSet(Vec<u64>);

impl HostSet {
    pub(crate) fn of(hosts: impl IntoIterator<Item = HostId>) -> Self {
        let mut words = Vec::new();
        for host in hosts {
            let at = host.index() / 64;
            if words.len() <= at {
                words.resize(at + 1, 0u64);
            }
            words[at] |= 1 << (host.index() % 64);
        }
        Self(words)
    }

    pub(crate) fn contains(&self, host: HostId) -> bool {
        self.0.get(host.index() / 64).is_some_and(|word| word >> (host.index() % 64) & 1 == 1)
    }
}

/// By which a rule is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RuleId(pub(super) u64);

/// Something that is wrong with the network.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// Nothing gets from these to those.
    Block { from: HostSet, to: HostSet },
    /// Every way between one of these and one of those is worse by this:
    /// times are added, probabilities taken if greater, bandwidth if less.
    Worse { between: HostSet, and: HostSet, by: LinkQuality },
}

impl Rule {
    pub(super) fn blocks(&self, a: HostId, b: HostId) -> bool {
        match self {
            Self::Block { from, to } => from.contains(a) && to.contains(b),
            Self::Worse { .. } => false,
        }
    }

    /// Whether lines are slower by it.
    pub(crate) fn slows_lines(&self) -> bool {
        matches!(self, Self::Worse { by: LinkQuality { bandwidth: Some(_), .. }, .. })
    }

    pub(super) fn worsen(&self, a: HostId, b: HostId, quality: &mut LinkQuality) {
        let Self::Worse { between, and, by } = self else {
            return;
        };
        if !(between.contains(a) && and.contains(b) || between.contains(b) && and.contains(a)) {
            return;
        }
        quality.latency += by.latency;
        quality.jitter += by.jitter;
        quality.loss = quality.loss.max(by.loss);
        quality.duplicate = quality.duplicate.max(by.duplicate);
        quality.reorder = quality.reorder.max(by.reorder);
        quality.bandwidth = match (quality.bandwidth, by.bandwidth) {
            (Some(ours), Some(theirs)) => Some(ours.min(theirs)),
            (ours, theirs) => ours.or(theirs),
        };
    }
}

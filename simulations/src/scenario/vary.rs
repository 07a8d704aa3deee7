use serde::{Deserialize, Serialize};

use super::Scenario;
use crate::random::Random;

/// What each seed draws anew, from the first to the last of two numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Vary {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<[u32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zones: Option<[u32; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<[u32; 2]>,
}

impl Vary {
    pub(super) fn ranges(&self) -> [(&'static str, Option<[u32; 2]>); 3] {
        [("peers", self.peers), ("zones", self.zones), ("replicas", self.replicas)]
    }
}

impl Scenario {
    /// What a seed makes of it: nothing varies any more. Each number is drawn
    /// on its own, so that one that is fixed does not move the others.
    #[must_use]
    pub fn for_seed(mut self, seed: u64) -> Self {
        let vary = std::mem::take(&mut self.vary);
        let draw = |purpose, range: Option<[u32; 2]>| {
            let [least, most] = range?;
            let range = u64::from(most.saturating_sub(least)) + 1;
            Some(least + Random::of(seed, &[510, purpose]).below(range) as u32)
        };
        if let Some(peers) = draw(0, vary.peers) {
            self = self.with_peers(peers);
        }
        if let Some(zones) = draw(1, vary.zones) {
            self.zones = zones.min(self.peers);
        }
        if let Some(replicas) = draw(2, vary.replicas) {
            self.replicas = replicas;
        }
        self
    }
}

use serde::{Deserialize, Serialize};

use super::Undo;
use crate::host::HostId;
use crate::network::{HostSet, LinkQuality, Rule};
use crate::world::World;

/// Which links of its victims a fault of the network is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// All of them.
    #[default]
    All,
    /// Those to hosts that are no victims.
    Rest,
}

/// What makes nothing worse.
pub(super) const NO_WORSE: LinkQuality = LinkQuality {
    latency: std::time::Duration::ZERO,
    jitter: std::time::Duration::ZERO,
    loss: 0.0,
    duplicate: 0.0,
    reorder: 0.0,
    bandwidth: None,
};

impl Reach {
    /// Makes the links of the victims worse.
    pub(super) fn worsen(self, world: &World, victims: &[HostId], by: LinkQuality) -> Option<Undo> {
        let between = HostSet::of(victims.iter().copied());
        let others = world.hosts().into_iter().filter(|host| self == Self::All || !between.contains(*host));
        let rule = world.impose(Rule::Worse { and: HostSet::of(others), between, by });
        Some(Box::new(move |world| world.lift(rule)))
    }
}

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_types::{Health, PeerId, PeerInfo};

/// Another peer, as this one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberEntry {
    pub(crate) addresses: Vec<String>,
    pub(crate) incarnation: u64,
    /// What it said of itself when it was linked last.
    pub(crate) info: Option<PeerInfo>,
    pub(crate) health: Health,
    /// Whether there is a link to it now.
    pub(crate) linked: bool,
    /// When this health was first seen, by the monotonic clock.
    pub(crate) since: Duration,
}

/// All other peers, as published by their actor.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct MemberTable {
    pub(crate) entries: BTreeMap<PeerId, MemberEntry>,
    /// Who was not admitted lately, and why.
    pub(crate) refusals: Vec<(String, String)>,
}

impl MemberTable {
    /// Whether work and data may be given to it: there is a link, and nobody
    /// has declared it dead.
    pub(crate) fn is_live(&self, peer: PeerId) -> bool {
        self.entries
            .get(&peer)
            .is_some_and(|entry| entry.linked && matches!(entry.health, Health::Alive | Health::Suspected))
    }

    /// Peers to which work may be given, and their slots.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (PeerId, u32)> {
        self.entries.iter().filter(|(peer, _)| self.is_live(**peer)).map(|(peer, entry)| {
            let slots = entry.info.as_ref().map_or(1, |info| info.slots.clamp(1, 1024));
            (*peer, slots)
        })
    }
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use shoal_types::{Health, Member, PeerId, PeerInfo};

use super::changes::Changes;

/// Another peer, as this one sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberEntry {
    pub(crate) addresses: Arc<[String]>,
    pub(crate) incarnation: u64,
    /// What it said of itself when it was linked last.
    pub(crate) info: Option<Arc<PeerInfo>>,
    pub(crate) health: Health,
    /// Whether there is a link to it now.
    pub(crate) linked: bool,
    /// When this health was first seen, by the monotonic clock.
    pub(crate) since: Duration,
}

impl MemberEntry {
    /// Whether work and data may be given to it: there is a link, and nobody
    /// has declared it dead.
    pub(crate) fn is_live(&self) -> bool {
        self.linked && !self.is_gone()
    }

    /// Whether the mesh does without it: others stand in for it.
    pub(crate) fn is_gone(&self) -> bool {
        match self.health {
            Health::Alive | Health::Suspected => false,
            Health::Leaving | Health::Dead => true,
        }
    }
}

/// All other peers, as their actor sees them.
#[derive(Debug, Default)]
pub(crate) struct MemberTable {
    pub(crate) entries: BTreeMap<PeerId, MemberEntry>,
    /// Whose entries have changed.
    pub(crate) changes: Changes,
    /// Who was not admitted lately, and why.
    pub(crate) refusals: Vec<(String, String)>,
}

impl MemberTable {
    /// Enters a peer, or removes it; whether that is a change.
    pub(crate) fn set(&mut self, peer: PeerId, entry: Option<MemberEntry>) -> bool {
        let is_change = self.entries.get(&peer) != entry.as_ref();
        if is_change {
            self.changes.note(peer);
            match entry {
                Some(entry) => self.entries.insert(peer, entry),
                None => self.entries.remove(&peer),
            };
        }
        is_change
    }

    pub(crate) fn is_live(&self, peer: PeerId) -> bool {
        self.entries.get(&peer).is_some_and(MemberEntry::is_live)
    }

    /// Members of a layout, who are sorted by id, each with what is known of it.
    pub(crate) fn beside<'a>(
        &'a self,
        members: &'a [Member],
    ) -> impl Iterator<Item = (&'a Member, Option<&'a MemberEntry>)> {
        let mut entries = self.entries.iter().peekable();
        members.iter().map(move |member| {
            while entries.next_if(|(peer, _)| **peer < member.id).is_some() {}
            (member, entries.next_if(|(peer, _)| **peer == member.id).map(|(_, entry)| entry))
        })
    }

    /// Those to whom work and data may be given, by id.
    pub(crate) fn live(&self) -> impl Iterator<Item = (PeerId, &MemberEntry)> {
        self.entries.iter().filter(|(_, entry)| entry.is_live()).map(|(peer, entry)| (*peer, entry))
    }
}

//! What has the owners that it had, though members came or went.

use shoal_placement::{PlacementKey, is_beyond};
use shoal_types::{ChunkId, Layout, Member};

use super::away::Absent;

/// Members that come and go at once, at most, for it to pay to look whether a
/// chunk was or is theirs before its owners are found.
const MOVED_MAX: usize = 32;

/// Members of a layout who have gone or come back since an earlier pass under it.
pub(super) struct Moved<'a> {
    members: Vec<&'a Member>,
    layout: &'a Layout,
    absent: [&'a Absent; 2],
    /// In how many zones there may be members; no more than replicas are counted.
    zones: usize,
    replicas: usize,
}

impl<'a> Moved<'a> {
    pub(super) fn of(layout: &'a Layout, absent: &'a Absent, before: &'a Absent, replicas: usize) -> Self {
        let moved = &(&absent.peers ^ &before.peers) | &(&absent.gone ^ &before.gone);
        let members = moved.into_iter().filter_map(|peer| layout.member(peer)).collect();
        let mut zones: Vec<&str> = Vec::with_capacity(replicas);
        for member in &layout.members {
            if zones.len() >= replicas {
                break;
            }
            if !zones.contains(&member.zone.as_str()) {
                zones.push(&member.zone);
            }
        }
        Self { members, layout, absent: [absent, before], zones: zones.len(), replicas }
    }

    /// Whether a chunk certainly has the owners that it had: whoever has moved
    /// is none of them, and was none. `false` where that is not clear.
    pub(super) fn spares(&self, chunk: ChunkId) -> bool {
        let key = PlacementKey::of_chunk(chunk);
        let has_stayed = |member: &&Member| !self.absent.iter().any(|absent| absent.peers.contains(&member.id));
        let is_beyond = |member: &&Member| {
            let steady = self.layout.members.iter().filter(has_stayed);
            is_beyond(key, member, steady, self.zones, self.replicas)
        };
        self.members.len() <= MOVED_MAX && self.members.iter().all(is_beyond)
    }
}

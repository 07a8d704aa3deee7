use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shoal_types::{ChunkId, ObjectName};

use crate::host::HostId;

/// Where copies of chunks are, by what disks have acknowledged.
///
/// Every change costs what it changes: nothing here looks at all chunks of all hosts.
#[derive(Default)]
pub(crate) struct Copies {
    chunks: BTreeMap<ChunkId, Chunk>,
    on: BTreeMap<HostId, BTreeSet<ChunkId>>,
    /// How many chunks were promised.
    promised: usize,
    /// Promised chunks without any copy.
    lost: BTreeSet<ChunkId>,
    /// Hosts whose disks do not do what they say.
    unreliable: BTreeSet<HostId>,
    /// Disks that were lost, in order.
    lost_disks: Vec<(Duration, HostId)>,
}

#[derive(Default)]
struct Chunk {
    holders: BTreeSet<HostId>,
    /// Since when some client relies on it.
    promised: Option<Duration>,
    /// By these names.
    names: BTreeSet<ObjectName>,
    /// The most copies that there have been since.
    most: usize,
    /// What was done to copies, each until there is a new one in its place.
    harms: Vec<Harm>,
    /// Whether there is a new one, wherever, since the last of them.
    is_survived: bool,
}

/// What was done to one copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Harm {
    pub(crate) at: Duration,
    pub(crate) host: HostId,
    pub(crate) damage: Damage,
}

/// How a copy came to harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is there, and nobody can tell before reading it that it is no good.
    Rotten,
    Lost,
}

impl Copies {
    /// A disk has acknowledged a copy.
    pub(crate) fn synced(&mut self, host: HostId, chunk: ChunkId) {
        let entry = self.chunks.entry(chunk).or_default();
        entry.holders.insert(host);
        entry.most = entry.most.max(entry.holders.len());
        entry.harms.retain(|harm| harm.host != host);
        entry.is_survived = true;
        self.lost.remove(&chunk);
        self.on.entry(host).or_default().insert(chunk);
    }

    /// A copy was deleted, or found to be broken.
    pub(crate) fn gone(&mut self, host: HostId, chunk: ChunkId) {
        if let Some(entry) = self.chunks.get_mut(&chunk) {
            entry.holders.remove(&host);
            if entry.holders.is_empty() && entry.promised.is_some() {
                self.lost.insert(chunk);
            }
        }
        if let Some(chunks) = self.on.get_mut(&host) {
            chunks.remove(&chunk);
        }
    }

    /// A fault has harmed a copy.
    pub(crate) fn harmed(&mut self, at: Duration, host: HostId, chunk: ChunkId, damage: Damage) {
        let was_here = self.is_here(host, chunk);
        self.gone(host, chunk);
        if let Some(entry) = self.chunks.get_mut(&chunk).filter(|_| was_here) {
            entry.harms.push(Harm { at, host, damage });
            entry.is_survived = false;
        }
    }

    /// A fault has taken a whole disk.
    pub(crate) fn disk_lost(&mut self, at: Duration, host: HostId) {
        self.lost_disks.push((at, host));
        for chunk in self.on.get(&host).cloned().unwrap_or_default() {
            self.harmed(at, host, chunk, Damage::Lost);
        }
    }

    /// A disk is given away whose peer has left the mesh: others have what was on it.
    pub(crate) fn disk_left(&mut self, at: Duration, host: HostId) {
        self.lost_disks.push((at, host));
        for chunk in self.on.get(&host).cloned().unwrap_or_default() {
            self.gone(host, chunk);
        }
    }

    /// Which of its disks a host has: how many it has lost before.
    pub(crate) fn disk_of(&self, host: HostId) -> usize {
        self.lost_disks.iter().filter(|(_, lost)| *lost == host).count()
    }

    /// Disks that were lost, and when, in order.
    pub(crate) fn lost_disks(&self) -> &[(Duration, HostId)] {
        &self.lost_disks
    }

    /// What this host's disk acknowledged may not be there.
    pub(crate) fn distrust(&mut self, host: HostId) {
        self.unreliable.insert(host);
    }

    pub(crate) fn is_reliable(&self, host: HostId) -> bool {
        !self.unreliable.contains(&host)
    }

    /// Whether all of them are.
    pub(crate) fn are_reliable(&self) -> bool {
        self.unreliable.is_empty()
    }

    /// A client was told that its data is safe.
    pub(crate) fn promise(&mut self, at: Duration, name: &ObjectName, chunk: ChunkId) {
        let entry = self.chunks.entry(chunk).or_default();
        entry.names.insert(name.clone());
        if entry.promised.is_none() {
            entry.promised = Some(at);
            entry.most = entry.holders.len();
            self.promised += 1;
            if entry.holders.is_empty() {
                self.lost.insert(chunk);
            }
        }
    }

    /// Hosts with a whole copy, whether they are up or not.
    pub(crate) fn holders(&self, chunk: ChunkId) -> impl Iterator<Item = HostId> {
        self.chunks.get(&chunk).into_iter().flat_map(|entry| &entry.holders).copied()
    }

    /// Whether a copy here was acknowledged and not harmed since.
    pub(crate) fn is_here(&self, host: HostId, chunk: ChunkId) -> bool {
        self.chunks.get(&chunk).is_some_and(|entry| entry.holders.contains(&host))
    }

    /// Chunks that clients rely on, and since when.
    pub(crate) fn promised(&self) -> impl Iterator<Item = (ChunkId, Duration)> {
        self.chunks.iter().filter_map(|(chunk, entry)| Some((*chunk, entry.promised?)))
    }

    /// The names under which clients rely on it.
    pub(crate) fn names(&self, chunk: ChunkId) -> impl Iterator<Item = &ObjectName> {
        self.chunks.get(&chunk).into_iter().flat_map(|entry| &entry.names)
    }

    pub(crate) fn is_promised(&self, chunk: ChunkId) -> bool {
        self.chunks.get(&chunk).is_some_and(|entry| entry.promised.is_some())
    }

    pub(crate) fn promised_count(&self) -> usize {
        self.promised
    }

    /// Promised chunks without any copy.
    pub(crate) fn lost(&self) -> impl Iterator<Item = ChunkId> {
        self.lost.iter().copied()
    }

    /// Whether so much was done to a chunk's copies that nobody could have
    /// kept it: all that it had, or as many as `replicas`. Rot counts until
    /// the copy is replaced, since it cannot be seen; what was lost earlier
    /// than `repair` before the last copy should have been replaced by then.
    /// Where there is to be one, that one has to be harmed last.
    pub(crate) fn is_excused(&self, chunk: ChunkId, replicas: usize, repair: Duration) -> bool {
        let Some(entry) = self.chunks.get(&chunk) else {
            return false;
        };
        if replicas == 1 && entry.is_survived {
            return false;
        }
        let last = entry.harms.iter().map(|harm| harm.at).max().unwrap_or_default();
        let counts = |harm: &&Harm| match harm.damage {
            Damage::Rotten => true,
            Damage::Lost => harm.at + repair >= last,
        };
        let harmed: BTreeSet<HostId> = entry.harms.iter().filter(counts).map(|harm| harm.host).collect();
        harmed.len() >= replicas.min(entry.most).max(1)
    }

    /// What was done to its copies, as far as they were not replaced.
    pub(crate) fn harms(&self, chunk: ChunkId) -> &[Harm] {
        self.chunks.get(&chunk).map_or(&[], |entry| &entry.harms)
    }

    /// Copies on a host.
    pub(crate) fn on(&self, host: HostId) -> usize {
        self.on.get(&host).map_or(0, BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn chunk_on(hosts: &[u32]) -> (Copies, ChunkId) {
        let (mut copies, chunk) = (Copies::default(), ChunkId::of(b"x"));
        for host in hosts {
            copies.synced(HostId(*host), chunk);
        }
        copies.promise(Duration::ZERO, &"b/x".parse().unwrap(), chunk);
        (copies, chunk)
    }

    fn is_excused(copies: &Copies, chunk: ChunkId) -> bool {
        copies.is_excused(chunk, 3, 60 * SECOND)
    }

    #[test]
    fn a_chunk_is_lost_with_its_last_copy_and_found_with_a_new_one() {
        let (mut copies, chunk) = chunk_on(&[1, 2]);
        copies.disk_lost(SECOND, HostId(1));
        assert_eq!(copies.lost().count(), 0);
        copies.gone(HostId(2), chunk);
        assert_eq!((copies.lost().count(), copies.on(HostId(2))), (1, 0));
        assert!(!is_excused(&copies, chunk), "one was taken, the other went by itself");
        copies.synced(HostId(3), chunk);
        assert_eq!((copies.lost().count(), copies.promised_count()), (0, 1));
    }

    #[test]
    fn only_as_many_harmed_as_there_are_replicas_excuse_a_loss() {
        let (mut copies, chunk) = chunk_on(&[1, 2, 3]);
        for host in [1, 2, 3] {
            assert!(!is_excused(&copies, chunk));
            copies.disk_lost(SECOND * host, HostId(host));
        }
        assert!(is_excused(&copies, chunk));
    }

    #[test]
    fn a_loss_that_should_have_been_repaired_does_not_count_but_hidden_rot_does() {
        let (mut copies, chunk) = chunk_on(&[1, 2, 3]);
        copies.disk_lost(SECOND, HostId(1));
        copies.disk_lost(100 * SECOND, HostId(2));
        copies.disk_lost(101 * SECOND, HostId(3));
        assert!(!is_excused(&copies, chunk));
        let (mut copies, chunk) = chunk_on(&[1, 2, 3]);
        copies.harmed(SECOND, HostId(1), chunk, Damage::Rotten);
        copies.disk_lost(100 * SECOND, HostId(2));
        copies.disk_lost(101 * SECOND, HostId(3));
        assert!(is_excused(&copies, chunk));
        assert_eq!(copies.disk_of(HostId(2)), 1);
    }

    #[test]
    fn of_one_copy_the_loss_of_its_disk_is_excused_and_not_that_of_one_given_away_or_made_since() {
        let excused = |copies: &Copies, chunk| copies.is_excused(chunk, 1, 60 * SECOND);
        let (mut copies, chunk) = chunk_on(&[1]);
        copies.disk_lost(SECOND, HostId(1));
        assert!(copies.lost().count() == 1 && excused(&copies, chunk));
        copies.synced(HostId(2), chunk);
        copies.gone(HostId(2), chunk);
        assert!(copies.lost().count() == 1 && !excused(&copies, chunk));
        let (mut copies, chunk) = chunk_on(&[1]);
        copies.disk_left(SECOND, HostId(1));
        assert!(copies.lost().count() == 1 && !excused(&copies, chunk));
        assert_eq!(copies.disk_of(HostId(1)), 1);
    }
}

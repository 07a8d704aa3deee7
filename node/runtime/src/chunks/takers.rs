//! Who is asked to take the copies of a chunk that is put.

use std::collections::{BTreeMap, BTreeSet};

use shoal_types::{ChunkId, Error, PeerId};

use super::TRIES;
use super::acks::Silence;
use crate::placed::Placed;

/// Who is asked to take the copies of a chunk that is put, and who has one:
/// its owners, and in the place of those who do not take theirs the next in rank.
pub(super) struct Takers<'a> {
    layout: &'a Placed,
    chunk: ChunkId,
    /// Copies that there are to be.
    replicas: usize,
    /// Who is away, or did not take its copy.
    passed_by: BTreeSet<PeerId>,
    /// Who is not counted on: away, or does not answer.
    away: BTreeSet<PeerId>,
    silent: BTreeMap<PeerId, Silence>,
    asked: BTreeSet<PeerId>,
    /// How often whose copy was not acknowledged in time.
    timeouts: BTreeMap<PeerId, u32>,
    pub(super) have: BTreeSet<PeerId>,
}

impl<'a> Takers<'a> {
    pub(super) fn new(
        layout: &'a Placed,
        chunk: ChunkId,
        replicas: usize,
        away: BTreeSet<PeerId>,
        silent: BTreeMap<PeerId, Silence>,
    ) -> Self {
        let passed_by = away.clone();
        let (asked, have, timeouts) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        Self { layout, chunk, replicas, passed_by, away, silent, asked, timeouts, have }
    }

    /// Whom to ask now, besides those who were. Who is late is asked where
    /// there are too few others, and who is mute where there would not be two
    /// copies else.
    pub(super) fn next(&mut self) -> Vec<PeerId> {
        let goals = [(None, self.replicas), (Some(Silence::Late), self.needed()), (Some(Silence::Mute), usize::MAX)];
        let mut takers = Vec::new();
        for (tolerated, enough) in goals {
            takers = self.owners(|peer| self.silent.get(&peer).copied() <= tolerated);
            if takers.len() >= enough {
                break;
            }
        }
        takers.retain(|peer| self.asked.insert(*peer));
        takers
    }

    /// Owners that are silent, and were not asked.
    pub(super) fn left_out(&self) -> Vec<PeerId> {
        let mut owners = self.owners(|_| true);
        owners.retain(|peer| self.silent.contains_key(peer) && !self.asked.contains(peer));
        owners
    }

    fn owners(&self, is_wanted: impl Fn(PeerId) -> bool) -> Vec<PeerId> {
        self.layout.owners_where(self.chunk, self.replicas, |peer| !self.passed_by.contains(&peer) && is_wanted(peer))
    }

    /// Somebody else is to be asked beside it.
    pub(super) fn late(&mut self, peer: PeerId) {
        self.silent.entry(peer).or_insert(Silence::Late);
    }

    /// It did not acknowledge its copy in time. Returns whether it is asked again, as
    /// there are not two copies without it.
    pub(super) fn is_asked_again(&mut self, peer: PeerId) -> bool {
        let tries = self.timeouts.entry(peer).or_default();
        *tries += 1;
        let again = *tries < TRIES && self.owners(|other| other != peer).len() < self.least();
        if again {
            self.asked.remove(&peer);
        }
        again
    }

    /// It does not take its copy.
    pub(super) fn refused(&mut self, peer: PeerId, error: &Error) {
        self.passed_by.insert(peer);
        if matches!(error, Error::Unreachable { .. } | Error::Timeout { .. } | Error::NotReady { .. }) {
            self.away.insert(peer);
        }
    }

    /// Whether all copies are made that there are to be.
    pub(super) fn is_done(&self) -> bool {
        self.have.len() >= self.replicas
    }

    /// How many copies are enough: one on everybody who answers, and two at
    /// least where there are two. Who has no weight holds nothing; where nobody
    /// has any, there is nobody to acknowledge it.
    pub(super) fn needed(&self) -> usize {
        let is_mute = |peer| self.silent.get(&peer) == Some(&Silence::Mute) && !self.have.contains(&peer);
        let answering = self.owning().filter(|peer| !self.away.contains(peer) && !is_mute(*peer)).count();
        self.least().max(self.replicas.min(answering)).max(1)
    }

    fn least(&self) -> usize {
        2.min(self.replicas).min(self.owning().count())
    }

    fn owning(&self) -> impl Iterator<Item = PeerId> {
        self.layout.members.iter().filter(|member| member.weight > 0).map(|member| member.id)
    }

    /// The first of those who did not answer, though there is a link to it.
    pub(super) fn unanswering(&self) -> Option<PeerId> {
        let is_mute = |peer: &PeerId| self.silent.get(peer) == Some(&Silence::Mute);
        self.owning().find(|peer| {
            (is_mute(peer) || self.asked.contains(peer) && self.away.contains(peer)) && !self.have.contains(peer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shoal_types::{Layout, Member, MeshId};

    use super::*;

    /// A mesh of so many, and whom it ranks how for the chunk.
    fn mesh(peers: u8) -> (Placed, ChunkId, Vec<PeerId>) {
        let member = |n: u8| Member {
            id: PeerId::from_bytes([n; 32]),
            name: format!("peer-{n}"),
            zone: String::new(),
            weight: 100,
            revision: 0,
            since: 1,
        };
        let members = (1..=peers).map(member).collect();
        let mesh = MeshId::from_bytes([1; 16]);
        let layout = Placed::new(Arc::new(Layout { mesh, version: 1, members, previous: None, replicas: 3 }));
        let chunk = ChunkId::of(b"chunk");
        let ranks = layout.owners_where(chunk, peers as usize, |_| true);
        (layout, chunk, ranks)
    }

    fn takers<'a>(of: &'a (Placed, ChunkId, Vec<PeerId>), silent: &[(usize, Silence)]) -> Takers<'a> {
        let silent = silent.iter().map(|(rank, how)| (of.2[*rank], *how)).collect();
        Takers::new(&of.0, of.1, 3, BTreeSet::new(), silent)
    }

    fn timeout() -> Error {
        Error::Timeout { what: "it".into(), ms: 1 }
    }

    #[test]
    fn the_next_in_rank_is_asked_at_once_for_who_was_silent_before() {
        for how in [Silence::Late, Silence::Mute] {
            let mesh = mesh(5);
            let mut takers = takers(&mesh, &[(1, how)]);
            assert_eq!(takers.next(), [mesh.2[0], mesh.2[2], mesh.2[3]]);
            assert_eq!(takers.left_out(), [mesh.2[1]]);
            assert_eq!((takers.next(), takers.needed()), (vec![], 3));
        }
    }

    #[test]
    fn the_next_in_rank_is_asked_beside_who_becomes_late_and_either_counts() {
        let mesh = mesh(4);
        let mut takers = takers(&mesh, &[]);
        assert_eq!(takers.next(), mesh.2[..3]);
        takers.late(mesh.2[0]);
        assert_eq!(takers.next(), [mesh.2[3]]);
        takers.have.extend([mesh.2[1], mesh.2[2]]);
        assert!(!takers.is_done());
        takers.have.insert(mesh.2[0]);
        assert!(takers.is_done() && takers.next().is_empty());
    }

    #[test]
    fn who_is_late_is_waited_for_where_nobody_is_in_its_place_and_who_is_mute_is_not() {
        let mesh = mesh(3);
        let mut late = takers(&mesh, &[(1, Silence::Late)]);
        assert_eq!((late.next().len(), late.needed()), (3, 3));
        late.refused(mesh.2[1], &timeout());
        assert_eq!((late.next(), late.needed()), (vec![], 2));
        assert_eq!(late.unanswering(), Some(mesh.2[1]));
        let mut mute = takers(&mesh, &[(1, Silence::Mute)]);
        assert_eq!(mute.next(), [mesh.2[0], mesh.2[2]]);
        assert_eq!((mute.needed(), mute.left_out()), (2, vec![mesh.2[1]]));
    }

    #[test]
    fn there_are_two_copies_at_least_and_who_is_mute_is_asked_for_one_of_them() {
        let mesh = mesh(3);
        let mut takers = takers(&mesh, &[(0, Silence::Mute), (1, Silence::Mute)]);
        assert_eq!(takers.next().len(), 3);
        takers.have.insert(mesh.2[2]);
        takers.refused(mesh.2[0], &timeout());
        assert_eq!((takers.next(), takers.needed()), (vec![], 2));
        takers.have.insert(mesh.2[1]);
        assert_eq!((takers.needed(), takers.unanswering()), (2, Some(mesh.2[0])));
    }

    #[test]
    fn who_refuses_is_stood_in_for_and_counts_as_there() {
        let mesh = mesh(4);
        let mut takers = takers(&mesh, &[]);
        let full = |peer| Error::DiskFull { peer, free_bytes: 1, needed_bytes: 2 };
        assert_eq!(takers.next().len(), 3);
        takers.refused(mesh.2[0], &full(mesh.2[0]));
        assert_eq!(takers.next(), [mesh.2[3]]);
        takers.refused(mesh.2[3], &full(mesh.2[3]));
        takers.have.extend([mesh.2[1], mesh.2[2]]);
        assert_eq!((takers.next(), takers.needed(), takers.unanswering()), (vec![], 3, None));
    }

    /// The put was refused, though who had been mute would have taken its copy.
    #[test]
    fn who_is_mute_is_asked_where_another_refuses() {
        let mesh = mesh(4);
        let mut takers = takers(&mesh, &[(0, Silence::Mute)]);
        assert_eq!(takers.next(), mesh.2[1..]);
        takers.refused(mesh.2[1], &Error::DiskFailed { peer: mesh.2[1], why: String::new() });
        assert_eq!(takers.next(), [mesh.2[0]]);
        takers.have.extend([mesh.2[0], mesh.2[2], mesh.2[3]]);
        assert!(takers.is_done() && takers.have.len() >= takers.needed());
    }

    /// Of two members one was late once, as its disk stood still for a minute, and the put failed.
    #[test]
    fn who_is_late_is_asked_again_where_there_are_not_two_copies_without_it() {
        let pair = mesh(2);
        let mut alone = takers(&pair, &[]);
        assert_eq!(alone.next(), pair.2);
        for _ in 1..TRIES {
            assert!(alone.is_asked_again(pair.2[1]));
            assert_eq!(alone.next(), [pair.2[1]]);
        }
        assert!(!alone.is_asked_again(pair.2[1]));
        let mesh = mesh(3);
        let mut takers = takers(&mesh, &[]);
        assert_eq!(takers.next().len(), 3);
        assert!(!takers.is_asked_again(mesh.2[1]), "the other two are enough");
    }
}

//! What two peers compare to find out whether they know of the same members.

use bytes::Bytes;
use foca::{Member, State};
use shoal_types::PeerId;

use crate::Identity;

/// Members are spread over so many buckets by the first byte of their ids.
const BUCKETS: usize = 256;

/// Bytes of a bucket's sum.
const SUM: usize = size_of::<u32>();

/// A sum for each bucket of the members in it that live. It is kept up to date
/// member by member, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest([u32; BUCKETS]);

impl Digest {
    pub(crate) fn new() -> Self {
        Self([0; BUCKETS])
    }

    /// Puts a member in, or takes it out again. Those that are dead do not
    /// count: everyone forgets them in its own time.
    pub(crate) fn toggle(&mut self, member: &Member<Identity>) {
        if member.state() != State::Down {
            self.0[usize::from(bucket(member.id().peer))] ^= sum(member.id());
        }
    }

    /// With one more that lives: the peer itself, whom it does not know as a member.
    pub(crate) fn with(&self, identity: &Identity) -> Self {
        let mut digest = self.clone();
        digest.0[usize::from(bucket(identity.peer))] ^= sum(identity);
        digest
    }

    /// Buckets in which there is not the same in both.
    pub(crate) fn differing(&self, other: &Self) -> Vec<u8> {
        let sums = self.0.iter().zip(&other.0);
        (0..=u8::MAX).zip(sums).filter(|(_, (one, other))| one != other).map(|(bucket, _)| bucket).collect()
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        self.0.iter().flat_map(|sum| sum.to_le_bytes()).collect()
    }

    /// `None` where that is no digest.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (sums, rest) = bytes.as_chunks::<SUM>();
        let sums: Vec<u32> = sums.iter().copied().map(u32::from_le_bytes).collect();
        Some(Self(sums.try_into().ok().filter(|_| rest.is_empty())?))
    }
}

pub(crate) fn bucket(peer: PeerId) -> u8 {
    peer.as_bytes()[0]
}

/// Of who it is and since when. Whether somebody suspects it does not matter:
/// that is over before it could be compared.
fn sum(identity: &Identity) -> u32 {
    let [.., a, b, c, d, e, f, g, h] = *identity.peer.as_bytes();
    let mixed = u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ identity.incarnation.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u8, incarnation: u64, state: State) -> Member<Identity> {
        let identity = Identity { peer: PeerId::from_bytes([n; 32]), incarnation, addresses: [].into() };
        Member::new(identity, 0, state)
    }

    fn digest(members: &[Member<Identity>]) -> Digest {
        let mut digest = Digest::new();
        members.iter().for_each(|member| digest.toggle(member));
        digest
    }

    #[test]
    fn it_shows_in_which_buckets_something_else_lives() {
        let one = digest(&[member(1, 5, State::Alive), member(2, 5, State::Suspect), member(3, 5, State::Down)]);
        let same = digest(&[member(2, 5, State::Alive), member(1, 5, State::Alive)]);
        assert_eq!(one.differing(&same), []);
        let other = digest(&[member(1, 6, State::Alive), member(2, 5, State::Alive), member(9, 5, State::Alive)]);
        assert_eq!(one.differing(&other), [1, 9]);
        assert_eq!(same.with(member(9, 5, State::Alive).id()).differing(&other), [1]);
    }

    #[test]
    fn what_is_taken_out_leaves_nothing() {
        let mut digest = digest(&[member(1, 5, State::Alive), member(1, 5, State::Alive)]);
        assert_eq!(digest, Digest::new());
        digest.toggle(&member(1, 5, State::Down));
        assert_eq!(digest, Digest::new());
    }

    #[test]
    fn it_reads_back_what_it_wrote_and_nothing_else() {
        let digest = digest(&[member(1, 5, State::Alive), member(200, 7, State::Alive)]);
        let bytes = digest.to_bytes();
        assert_eq!(Digest::from_bytes(&bytes), Some(digest));
        for wrong in [&bytes[1..], &bytes[..bytes.len() - 4], &[&bytes[..], &[0; 4]].concat(), &[]] {
            assert_eq!(Digest::from_bytes(wrong), None);
        }
    }
}

use std::collections::BTreeSet;
use std::ops::Bound;

use shoal_types::PeerId;

/// Peers with which the same is to be done again and again, a few at a time,
/// each in its turn.
pub(super) struct Turns {
    peers: BTreeSet<PeerId>,
    /// Who had the last turn.
    last: PeerId,
    /// How many have a turn yet in this round.
    left: usize,
}

impl Turns {
    /// Nobody yet. The first turn is that of whoever comes after `last`: from
    /// different ones, different peers begin with different others.
    pub(super) fn after(last: PeerId) -> Self {
        Self { peers: BTreeSet::new(), last, left: 0 }
    }

    /// Has a peer take part, or not.
    pub(super) fn set(&mut self, peer: PeerId, takes_part: bool) {
        if takes_part {
            self.peers.insert(peer);
        } else {
            self.peers.remove(&peer);
        }
    }

    /// From now on everyone has one more turn, and not two.
    pub(super) fn begin_round(&mut self) {
        self.left = self.peers.len();
    }

    /// The next, at most `count`; nobody once the round is over.
    pub(super) fn next(&mut self, count: usize) -> Vec<PeerId> {
        let later = self.peers.range((Bound::Excluded(self.last), Bound::Unbounded));
        let next: Vec<PeerId> =
            later.chain(self.peers.range(..=self.last)).take(count.min(self.left)).copied().collect();
        self.left -= next.len();
        self.last = next.last().copied().unwrap_or(self.last);
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn everyone_has_one_turn_in_a_round_and_the_next_round_goes_on_from_there() {
        let mut turns = Turns::after(peer(3));
        for n in 1..=5 {
            turns.set(peer(n), true);
        }
        assert!(turns.next(2).is_empty());
        turns.begin_round();
        assert_eq!(turns.next(2), [peer(4), peer(5)]);
        assert_eq!(turns.next(2), [peer(1), peer(2)]);
        turns.set(peer(4), false);
        assert_eq!(turns.next(2), [peer(3)]);
        assert!(turns.next(2).is_empty());
        turns.begin_round();
        assert_eq!(turns.next(9), [peer(5), peer(1), peer(2), peer(3)]);
    }
}

//! How soon peers acknowledge copies, and who does not: a peer whose disk
//! hangs answers pings all the same.
//!
//! ```text
//!   copy ──▶ acknowledged ············· trusted
//!     └ much longer than others ──▶ late: another is asked beside it, and first from then on
//!         └ timed out ────────────▶ mute: as if it were away
//!   late, mute ──▶ one copy at a time, after longer and longer pauses ──▶ acknowledged: trusted
//!     └ nothing new for some minutes ──▶ trusted
//! ```

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use shoal_types::PeerId;

use crate::context::lock;

/// What this peer knows of how others, and its own disk, acknowledge copies
/// that are put.
pub(crate) struct Acks {
    me: PeerId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Those on their way.
    copies: BTreeMap<CopyId, Copy>,
    next: u64,
    peers: BTreeMap<PeerId, Known>,
}

/// A copy on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CopyId(u64);

#[derive(Debug)]
struct Copy {
    to: PeerId,
    bytes: u64,
    began: Duration,
    /// The longest that others took which began no earlier and are about as long.
    others_took: Option<Duration>,
}

#[derive(Debug, Default)]
struct Known {
    /// What its latest two copies took, the latest first.
    took: [Duration; 2],
    silent: Option<Silent>,
    noted: Duration,
}

/// How far a peer that does not acknowledge is not counted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silence {
    /// It takes much longer than others: these are asked first.
    Late,
    /// It has let a copy time out: nobody waits for it where two others have
    /// theirs, as for one that is away.
    Mute,
}

#[derive(Debug)]
struct Silent {
    how: Silence,
    /// When it was late or timed out last.
    since: Duration,
    /// The copy by which it is tried.
    probe: Option<CopyId>,
    /// Until when it is not tried again, and for how long next time.
    rests_until: Duration,
    pause: Duration,
}

impl Acks {
    /// Nobody is late before: more than a spinning disk with a full queue and
    /// a line of 100 ms take.
    const LATE: Duration = Duration::from_secs(10);

    /// And more for long ones: slower than any disk that is worth its power.
    const BYTES_PER_SECOND_MIN: u64 = 4 << 20;

    /// Late is who takes more than so many times what others took.
    const TIMES: u32 = 4;

    /// How long a silent peer is left alone before it is tried again: twice as
    /// long each time.
    const PAUSE: Duration = Duration::from_secs(5);
    const PAUSE_MAX: Duration = Duration::from_secs(60);

    /// A peer that has not been late for so long is as others, whether it was
    /// tried or not.
    const REMEMBERED: Duration = Duration::from_secs(300);

    /// Peers that are known, some 200 bytes each: those of a large mesh.
    pub(crate) const PEERS_MAX: usize = 1_024;

    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, state: Mutex::default() }
    }

    /// A copy of so many bytes is on its way.
    pub(crate) fn begin(&self, to: PeerId, bytes: u64, now: Duration) -> CopyId {
        let state = &mut *lock(&self.state);
        let id = CopyId(state.next);
        state.next += 1;
        state.copies.insert(id, Copy { to, bytes, began: now, others_took: None });
        id
    }

    /// It is synced. Whoever was asked no later for about as much, and has not
    /// acknowledged it, is measured by that; not by a copy that had no way to go.
    pub(crate) fn acknowledged(&self, id: CopyId, now: Duration) {
        let state = &mut *lock(&self.state);
        let Some(made) = state.copies.remove(&id) else { return };
        let took = now.saturating_sub(made.began);
        let is_like = |copy: &Copy| copy.to != made.to && copy.began <= made.began && copy.bytes / 2 <= made.bytes;
        if made.to != self.me {
            for copy in state.copies.values_mut().filter(|copy| is_like(copy)) {
                copy.others_took = copy.others_took.max(Some(took));
            }
        }
        let known = state.known(made.to, now);
        *known = Known { took: [took, known.took[0]], silent: None, noted: now };
    }

    /// Nothing comes of it any more, and that says nothing of its peer: it was
    /// given up, refused, or was there before.
    pub(crate) fn end(&self, id: CopyId, now: Duration) {
        let state = &mut *lock(&self.state);
        let Some(copy) = state.copies.remove(&id) else { return };
        if let Some(silent) = state.peers.get_mut(&copy.to).and_then(|known| known.silent.as_mut())
            && silent.probe == Some(id)
        {
            silent.probe = None;
            silent.pause = (silent.pause * 2).min(Self::PAUSE_MAX);
            silent.rests_until = now + silent.pause;
        }
    }

    /// It was not acknowledged within what a copy may take.
    pub(crate) fn timed_out(&self, id: CopyId, now: Duration) {
        let to = lock(&self.state).copies.get(&id).map(|copy| copy.to);
        if let Some(to) = to {
            self.end(id, now);
            lock(&self.state).silence(to, Silence::Mute, now);
        }
    }

    /// Whether others took much less than it takes already, as did its own peer
    /// before: that is silent from now on.
    pub(crate) fn is_late(&self, id: CopyId, now: Duration) -> bool {
        let state = &mut *lock(&self.state);
        let Some(copy) = state.copies.get(&id) else { return false };
        let Some(others) = copy.others_took else { return false };
        // One that was late once, as its disk hung, is not slow for that.
        let own = state.peers.get(&copy.to).map_or(Duration::ZERO, |known| known.took[0].min(known.took[1]));
        let least = Self::LATE + Duration::from_secs(copy.bytes / Self::BYTES_PER_SECOND_MIN);
        let (to, limit) = (copy.to, least.max(others.max(own) * Self::TIMES));
        let is_late = now.saturating_sub(copy.began) >= limit;
        if is_late {
            state.silence(to, Silence::Late, now);
        }
        is_late
    }

    /// Who is silent.
    pub(crate) fn silent(&self, now: Duration) -> BTreeMap<PeerId, Silence> {
        let state = lock(&self.state);
        let silent = state.peers.iter().filter_map(|(peer, known)| Some((*peer, known.silent.as_ref()?)));
        silent.filter(|(_, silent)| silent.is_remembered(now)).map(|(peer, silent)| (peer, silent.how)).collect()
    }

    /// Whether it is time to try a silent peer with another copy.
    pub(crate) fn is_due(&self, peer: PeerId, now: Duration) -> bool {
        let state = lock(&self.state);
        let silent = state.peers.get(&peer).and_then(|known| known.silent.as_ref());
        silent.is_some_and(|silent| silent.probe.is_none() && silent.rests_until <= now)
    }

    /// Has a copy that nobody waits for tell when its silent peer acknowledges
    /// again; `false` where another does, or there is no need.
    pub(crate) fn probe(&self, id: CopyId) -> bool {
        let State { copies, peers, .. } = &mut *lock(&self.state);
        let silent = copies.get(&id).and_then(|copy| peers.get_mut(&copy.to)).and_then(|known| known.silent.as_mut());
        let Some(silent) = silent.filter(|silent| silent.probe.is_none()) else { return false };
        silent.probe = Some(id);
        true
    }

    /// How many peers are known.
    pub(crate) fn known(&self) -> usize {
        lock(&self.state).peers.len()
    }
}

impl State {
    /// What is known of a peer; of whom least was heard lately goes for it.
    fn known(&mut self, peer: PeerId, now: Duration) -> &mut Known {
        if self.peers.len() >= Acks::PEERS_MAX && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, known)| known.noted).map(|(peer, _)| *peer);
            oldest.and_then(|oldest| self.peers.remove(&oldest));
        }
        let known = self.peers.entry(peer).or_default();
        known.noted = now;
        known
    }

    fn silence(&mut self, peer: PeerId, how: Silence, now: Duration) {
        let known = self.known(peer, now);
        let before = known.silent.take().filter(|silent| silent.is_remembered(now));
        known.silent = Some(match before {
            Some(silent) => Silent { how: silent.how.max(how), since: now, ..silent },
            None => Silent { how, since: now, probe: None, rests_until: now + Acks::PAUSE, pause: Acks::PAUSE },
        });
    }
}

impl Silent {
    fn is_remembered(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) < Acks::REMEMBERED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: u64 = 16 << 20;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn acks() -> Acks {
        Acks::new(peer(0))
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Peer 1 takes `took` for a copy; peer 2, asked at the same time, is late
    /// after how many seconds, if it ever is?
    fn late_after(acks: &Acks, took: Duration) -> Option<u64> {
        let began = s(1_000);
        let (one, two) = (acks.begin(peer(1), CHUNK, began), acks.begin(peer(2), CHUNK, began));
        acks.acknowledged(one, began + took);
        let after = (0..200).find(|seconds| acks.is_late(two, began + took.max(s(*seconds))));
        acks.end(two, began);
        after
    }

    #[test]
    fn late_is_who_takes_much_longer_than_others_and_more_than_any_disk() {
        let least = (Acks::LATE + s(CHUNK / Acks::BYTES_PER_SECOND_MIN)).as_secs();
        assert_eq!(late_after(&acks(), Duration::from_millis(20)), Some(least));
        assert_eq!(late_after(&acks(), s(3)), Some(least));
        assert_eq!(late_after(&acks(), s(20)), Some(80), "where all are slow nobody is late for it");
    }

    #[test]
    fn nobody_is_late_where_nobody_else_was_sooner() {
        let acks = acks();
        let (late, here) = (acks.begin(peer(2), CHUNK, s(1)), acks.begin(peer(0), CHUNK, s(1)));
        acks.acknowledged(here, s(1));
        assert!(!acks.is_late(late, s(99)), "the copy here has no way to go");
        let shorter = acks.begin(peer(1), CHUNK / 4, s(1));
        acks.acknowledged(shorter, s(2));
        assert!(!acks.is_late(late, s(99)), "much shorter");
        let own = acks.begin(peer(2), CHUNK, s(1));
        acks.acknowledged(own, s(2));
        assert!(!acks.is_late(late, s(99)), "it acknowledges others itself");
        let (before, later) = (acks.begin(peer(1), CHUNK, s(0)), acks.begin(peer(1), CHUNK, s(50)));
        acks.acknowledged(before, s(2));
        assert!(!acks.is_late(late, s(99)), "asked before it, in a shorter queue perhaps");
        acks.acknowledged(later, s(51));
        assert!(acks.is_late(late, s(99)));
    }

    #[test]
    fn who_is_always_slow_is_not_late_and_who_hung_once_is() {
        let slow = acks();
        for n in 0..2 {
            assert_eq!(late_after(&slow, Duration::from_millis(20)), Some(14));
            let copy = slow.begin(peer(2), CHUNK, s(n));
            slow.acknowledged(copy, s(n + 12));
        }
        assert_eq!(late_after(&slow, Duration::from_millis(20)), Some(48));
        let copy = slow.begin(peer(2), CHUNK, s(100));
        slow.acknowledged(copy, s(100));
        assert_eq!(late_after(&slow, Duration::from_millis(20)), Some(14), "its latest was as soon as any");
    }

    #[test]
    fn who_is_silent_is_tried_by_one_copy_at_a_time_less_and_less_until_it_acknowledges_one() {
        let acks = acks();
        let copy = acks.begin(peer(2), CHUNK, s(0));
        assert!(!acks.probe(copy) && acks.silent(s(0)).is_empty());
        acks.timed_out(copy, s(60));
        assert_eq!(acks.silent(s(60)), BTreeMap::from([(peer(2), Silence::Mute)]));
        let mut now = s(60);
        for pause in [5, 10, 20, 40, 60, 60] {
            assert!(!acks.is_due(peer(2), now + s(pause) - s(1)) && acks.is_due(peer(2), now + s(pause)));
            now += s(pause);
            let (probe, second) = (acks.begin(peer(2), CHUNK, now), acks.begin(peer(2), CHUNK, now));
            assert!(acks.probe(probe) && !acks.probe(second) && !acks.is_due(peer(2), now + s(59)));
            acks.end(second, now);
            now += s(60);
            acks.timed_out(probe, now);
        }
        let probe = acks.begin(peer(2), CHUNK, now);
        assert!(acks.probe(probe));
        acks.acknowledged(probe, now + s(1));
        assert!(acks.silent(now + s(1)).is_empty());
        assert!(!acks.is_due(peer(2), now + s(1_000)), "there is nothing to find out");
    }

    #[test]
    fn who_is_mute_is_no_better_for_being_late_and_is_trusted_again_after_a_while() {
        let acks = acks();
        let copy = acks.begin(peer(2), CHUNK, s(1_000));
        acks.timed_out(copy, s(1_000));
        assert!(late_after(&acks, s(1)).is_some());
        assert_eq!(acks.silent(s(1_014)), BTreeMap::from([(peer(2), Silence::Mute)]));
        let forgotten = s(1_014) + Acks::REMEMBERED;
        assert!(!acks.silent(forgotten - s(1)).is_empty() && acks.silent(forgotten).is_empty());
    }

    #[test]
    fn of_more_peers_than_there_is_room_for_the_latest_are_known() {
        let acks = acks();
        let peers = (0..=Acks::PEERS_MAX as u64).map(|n| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            (n, PeerId::from_bytes(bytes))
        });
        for (n, peer) in peers {
            let copy = acks.begin(peer, CHUNK, s(n));
            acks.timed_out(copy, s(n));
        }
        assert_eq!(acks.known(), Acks::PEERS_MAX);
        assert!(!acks.silent(s(1_024)).contains_key(&peer(0)));
        assert!(lock(&acks.state).copies.is_empty());
    }
}

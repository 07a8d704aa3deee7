//! Watching: each member is probed by a few others, always the same, in turns.
//!
//! Probes at random (SWIM's) find a death soon on average, and sometimes late;
//! a watcher comes by every period. Members stand on a ring, by their ids, and
//! each watches those that follow it: whoever dies is missed by as many as it
//! had watchers, however large the mesh is, and each sends the same few packets.
//!
//! ```text
//!   watcher                    watched                     others
//!      --- ping ----------------->
//!      <------------------ pong ---
//!
//!          no answer yet: once more, and through others
//!      --- ping ----------------->
//!      --- relay --------------------------------------------->
//!                                 <------------------- ping ---
//!                                  --- pong ------------------>
//!      <----------------------------------------------- pong ---
//!
//!          still none: it is suspected, and told so
//!      --- members: itself, suspected -->
//!      <-- members: itself, refuted -----
//! ```
//!
//! The last exchange is the buddy system of Lifeguard (Dadgar et al., 2018):
//! whoever is suspected learns of it in time to object.

use std::time::Duration;

use foca::{Member, State};
use rand::Rng;
use serde::{Deserialize, Serialize};
use shoal_types::PeerId;

use super::{Action, Swim, SwimConfig, Timer};
use crate::Identity;
use crate::packet::Packet;

/// Probes without an answer so far. What is watched needs a few; links that
/// break all at once might want one each.
const PROBES_MAX: usize = 32;

/// Others through whom a member is probed that does not answer.
const RELAYS: usize = 3;

/// Whom this peer watches, and whose answers it waits for.
#[derive(Debug)]
pub(super) struct Watch {
    watchers: usize,
    period: Duration,
    patience: Duration,
    watched: Vec<PeerId>,
    /// Whether somebody has come or gone since they were chosen.
    pub(super) is_outdated: bool,
    /// Whose turn it is.
    turn: usize,
    probes: Vec<Probe>,
    /// Probes so far.
    count: u64,
    /// Answers so far.
    answers: u64,
    /// Whether the timer for the next turn runs.
    is_ticking: bool,
}

#[derive(Debug)]
struct Probe {
    number: u64,
    /// Whom, as it was known then.
    member: Member<Identity>,
    /// Answers to earlier probes, and to others.
    answers_before: u64,
    /// Whether it was made once more, and through others.
    is_relayed: bool,
    is_granted_more: bool,
}

/// Which probe a packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) prober: PeerId,
    pub(crate) number: u64,
    /// Of the one who is to answer: a later one is somebody else.
    pub(crate) incarnation: u64,
}

impl Watch {
    pub(super) fn new(config: &SwimConfig) -> Self {
        Self {
            watchers: config.watchers,
            period: config.watch_period,
            patience: config.watch_patience,
            watched: Vec::new(),
            is_outdated: false,
            turn: 0,
            probes: Vec::new(),
            count: 0,
            answers: 0,
            is_ticking: false,
        }
    }

    /// Nothing that was asked counts any more.
    pub(super) fn forget_probes(&mut self) {
        self.probes.clear();
    }

    fn is_probing(&self, peer: PeerId) -> bool {
        self.probes.iter().any(|probe| probe.member.id().peer == peer)
    }

    fn probe(&self, number: u64) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.number == number)
    }

    #[cfg(test)]
    pub(super) fn is_watched(&self, peer: PeerId) -> bool {
        self.watched.contains(&peer)
    }

    #[cfg(test)]
    pub(super) fn is_waiting(&self, number: u64) -> bool {
        self.probe(number).is_some()
    }

    /// Each of those who are watched has a turn in every period; where they
    /// are fewer than there could be, they have more.
    fn tick(&self) -> Duration {
        self.period / u32::try_from(self.watchers.max(1)).unwrap_or(u32::MAX)
    }
}

impl Swim {
    /// Sees to it that the next turn comes, if there is anybody to watch.
    pub(super) fn keep_watching(&mut self, actions: &mut Vec<Action>) {
        if self.is_active && !self.watch.is_ticking {
            self.watch.is_ticking = true;
            // Not all at once.
            let delay = self.watch.tick().mul_f64(f64::from(self.random.next_u32()) / f64::from(u32::MAX));
            actions.push(Action::After { delay, timer: Timer::Watch });
        }
    }

    /// Probes the next of those who are watched, and through others whoever
    /// has not answered since the last turn.
    pub(super) fn watch(&mut self) -> Vec<Action> {
        if !self.is_active {
            self.watch.is_ticking = false;
            return Vec::new();
        }
        if std::mem::take(&mut self.watch.is_outdated) {
            self.watch.watched = self.followers(self.watch.watchers);
        }
        let unanswered: Vec<u64> = self.watch.probes.iter().map(|probe| probe.number).collect();
        let mut actions: Vec<Action> = unanswered.into_iter().flat_map(|number| self.relay(number)).collect();
        let turn = self.watch.turn;
        self.watch.turn = turn.wrapping_add(1);
        let watched = turn.checked_rem(self.watch.watched.len()).map(|place| self.watch.watched[place]);
        actions.extend(watched.map(|peer| self.probe(peer)).unwrap_or_default());
        actions.push(Action::After { delay: self.watch.tick(), timer: Timer::Watch });
        actions
    }

    /// The first living members after this peer on the ring.
    fn followers(&self, count: usize) -> Vec<PeerId> {
        let us = self.identity().peer;
        let place = |peer: &PeerId| (*peer < us, *peer);
        let mut followers: Vec<PeerId> = Vec::with_capacity(count + 1);
        for (peer, member) in &self.known {
            if member.state() != State::Down
                && (followers.len() < count || followers.last().is_some_and(|last| place(peer) < place(last)))
            {
                let at = followers.partition_point(|other| place(other) < place(peer));
                followers.insert(at, *peer);
                followers.truncate(count);
            }
        }
        followers
    }

    /// A link to a peer broke, as when its process is killed: it is probed at
    /// once rather than in its turn.
    pub fn link_lost(&mut self, peer: PeerId) -> Vec<Action> {
        if self.is_active { self.probe(peer) } else { Vec::new() }
    }

    /// Probes a member, unless that is being done.
    fn probe(&mut self, peer: PeerId) -> Vec<Action> {
        let Some(member) = self.known.get(&peer).filter(|member| member.state() != State::Down).cloned() else {
            return Vec::new();
        };
        if self.watch.is_probing(peer) || self.watch.probes.len() >= PROBES_MAX {
            return Vec::new();
        }
        self.watch.count += 1;
        let number = self.watch.count;
        let mut actions = vec![self.ping(number, &member)];
        if member.state() == State::Suspect {
            // It may not have heard of that.
            actions.push(accuse(&member));
        }
        let answers_before = self.watch.answers;
        self.watch.probes.push(Probe { number, member, answers_before, is_relayed: false, is_granted_more: false });
        actions
    }

    fn call(&self, number: u64, member: &Member<Identity>) -> Call {
        Call { prober: self.identity().peer, number, incarnation: member.id().incarnation }
    }

    fn ping(&self, number: u64, member: &Member<Identity>) -> Action {
        Action::Send { to: member.id().peer, packet: Packet::Ping(self.call(number, member)).to_bytes() }
    }

    /// Probes once more, and through others, whoever has not answered yet.
    fn relay(&mut self, number: u64) -> Vec<Action> {
        let unanswered = self.watch.probes.iter_mut().find(|probe| probe.number == number && !probe.is_relayed);
        let Some(probe) = unanswered else {
            return Vec::new();
        };
        probe.is_relayed = true;
        let Some(probe) = self.watch.probe(number) else {
            return Vec::new();
        };
        let (peer, call) = (probe.member.id().peer, self.call(number, &probe.member));
        let packet = Packet::Relay { peer, call }.to_bytes();
        let mut actions = vec![self.ping(number, &probe.member)];
        let mut others: Vec<PeerId> = Vec::new();
        for _ in 0..RELAYS {
            let other = self.somebody(|other| other != peer && !others.contains(&other));
            others.extend(other);
        }
        actions.extend(others.into_iter().map(|to| Action::Send { to, packet: packet.clone() }));
        actions.push(Action::After { delay: self.watch.patience, timer: Timer::Verdict { number } });
        actions
    }

    /// Suspects whoever has not answered.
    pub(super) fn verdict(&mut self, number: u64) -> Vec<Action> {
        let (answers, patience) = (self.watch.answers, self.watch.patience);
        let is_alone = self.watch.watched.len() < 2;
        let Some(at) = self.watch.probes.iter().position(|probe| probe.number == number) else {
            return Vec::new();
        };
        let probe = &mut self.watch.probes[at];
        if probe.answers_before == answers && !is_alone && !probe.is_granted_more {
            // Nor has anybody else: then it may be that nobody hears us.
            probe.is_granted_more = true;
            return vec![Action::After { delay: patience, timer: Timer::Verdict { number } }];
        }
        let member = self.watch.probes.swap_remove(at).member;
        let suspect = Member::new(member.id().clone(), member.incarnation(), State::Suspect);
        // It has refuted, or returned, or gone since.
        if !self.known.get(&member.id().peer).is_some_and(|known| is_same(known, &member)) {
            return Vec::new();
        }
        let mut actions = self.apply(suspect.clone());
        actions.push(accuse(&suspect));
        let timer = Timer::Suspicion { member: suspect, as_of: self.identity().incarnation };
        actions.push(Action::After { delay: self.suspect_to_down, timer });
        actions
    }

    /// Declares dead whoever has not refuted a suspicion, which this peer
    /// raised as a certain incarnation: what an earlier one thought does not count.
    pub(super) fn suspicion(&mut self, suspect: Member<Identity>, as_of: u64) -> Vec<Action> {
        let stands = as_of == self.identity().incarnation
            && self.known.get(&suspect.id().peer).is_some_and(|known| *known == suspect);
        if stands {
            self.apply(Member::new(suspect.id().clone(), suspect.incarnation(), State::Down))
        } else {
            Vec::new()
        }
    }

    fn apply(&mut self, member: Member<Identity>) -> Vec<Action> {
        self.act(|foca, actions| foca.apply_many(std::iter::once(member), true, actions))
    }

    /// Somebody wants to know whether we live. `from` is the prober, or asks for it.
    pub(super) fn pinged(&self, from: PeerId, call: Call) -> Vec<Action> {
        match call.incarnation == self.identity().incarnation {
            true => vec![Action::Send { to: from, packet: Packet::Pong(call).to_bytes() }],
            false => Vec::new(),
        }
    }

    /// Somebody wants to know through us whether a peer lives.
    pub(super) fn asked_to_relay(&self, from: PeerId, peer: PeerId, call: Call) -> Vec<Action> {
        match call.prober == from && self.is_member(from) && self.is_member(peer) {
            true => vec![Action::Send { to: peer, packet: Packet::Ping(call).to_bytes() }],
            false => Vec::new(),
        }
    }

    /// An answer, to us or to somebody for whom we asked.
    pub(super) fn ponged(&mut self, call: Call) -> Vec<Action> {
        if call.prober != self.identity().peer {
            return match self.is_member(call.prober) {
                true => vec![Action::Send { to: call.prober, packet: Packet::Pong(call).to_bytes() }],
                false => Vec::new(),
            };
        }
        let answered =
            self.watch.probe(call.number).is_some_and(|probe| probe.member.id().incarnation == call.incarnation);
        if answered {
            self.watch.answers += 1;
            self.watch.probes.retain(|probe| probe.number != call.number);
        }
        Vec::new()
    }
}

/// Tells a member that it is suspected.
fn accuse(suspect: &Member<Identity>) -> Action {
    Action::Send { to: suspect.id().peer, packet: only(suspect) }
}

/// A packet about one member.
pub(super) fn only(member: &Member<Identity>) -> bytes::Bytes {
    // Writing to memory does not fail.
    let members = postcard::to_stdvec(member).unwrap_or_default();
    Packet::Members { buckets: &[], members: &members, asks: false }.to_bytes()
}

/// Whether what is known of a member is what was known of it, but for suspicion.
fn is_same(known: &Member<Identity>, then: &Member<Identity>) -> bool {
    known.id() == then.id() && known.incarnation() == then.incarnation() && known.state() != State::Down
}

//! Nothing that got lost stays unknown: members compare what they know.
//!
//! ```text
//!   one                                     other, one of the members at random
//!      --- digest ------------------------->
//!      <-- who lives in buckets that differ
//!      --- whom the other did not know ---->
//! ```
//!
//! Whoever lists somebody as living whom the other holds to be dead is told that.
//!
//! While all know the same that costs one digest per peer and period, however
//! large the mesh is.

use std::collections::BTreeMap;

use foca::{Member, State};
use rand::Rng;
use shoal_types::PeerId;

use super::{Action, Swim, Timer, disbelieve, watch};
use crate::Identity;
use crate::belief::Disbelieved;
use crate::digest::{Digest, bucket};
use crate::news::{Heard, Verdict};
use crate::packet::Packet;

/// Comparisons come so many times as often while members come and go.
const HURRY: u32 = 8;

impl Swim {
    /// Sees to it that the next comparison comes, if this peer has anybody to compare with.
    pub(super) fn keep_comparing(&mut self, actions: &mut Vec<Action>) {
        if self.is_active && !self.is_comparing {
            self.is_comparing = true;
            // What gossip has just told of is what it may have missed somebody with.
            let period = match std::mem::take(&mut self.has_news) {
                true => self.compare_period / HURRY,
                false => self.compare_period,
            };
            // Not all at once, and not always the same two after each other.
            let delay = period.mul_f64(self.random.next_u32() as f64 / f64::from(u32::MAX) + 0.5);
            actions.push(Action::After { delay, timer: Timer::Compare });
        }
    }

    /// Begins a comparison with somebody.
    pub(super) fn compare(&mut self) -> Vec<Action> {
        self.is_comparing = false;
        let mut actions = Vec::new();
        if let Some(to) = self.somebody(|_| true) {
            let digest = self.digest.with(self.foca.identity()).to_bytes();
            actions.push(Action::Send { to, packet: Packet::Digest(&digest).to_bytes() });
        }
        self.keep_comparing(&mut actions);
        actions
    }

    /// A member that lives, and is fit.
    pub(super) fn somebody(&mut self, is_fit: impl Fn(PeerId) -> bool) -> Option<PeerId> {
        let place = self.random.next_u32() as usize % self.known.len().max(1);
        let (before, after) = (self.known.get_range(..place)?, self.known.get_range(place..)?);
        let mut circle = after.iter().chain(before);
        circle.find(|(peer, member)| member.state() != State::Down && is_fit(**peer)).map(|(peer, _)| *peer)
    }

    /// Somebody's digest.
    pub(super) fn compared(&mut self, from: PeerId, digest: &[u8]) -> Vec<Action> {
        let Some(theirs) = Digest::from_bytes(digest).filter(|_| self.is_member(from)) else {
            return Vec::new();
        };
        let mut differing = theirs.differing(&self.digest.with(self.foca.identity()));
        if !differing.is_empty() {
            // What does not fit into a packet has its turn another time.
            let first = self.random.next_u32() as usize % differing.len();
            differing.rotate_left(first);
        }
        self.tell(from, &differing, true, |member| member.state() != State::Down)
    }

    /// Whom somebody knows in some buckets.
    pub(super) fn listed(&mut self, from: PeerId, buckets: &[u8], members: &[u8], asks: bool) -> Vec<Action> {
        if !self.is_member(from) {
            return Vec::new();
        }
        let mut theirs: BTreeMap<PeerId, u64> = BTreeMap::new();
        let mut news: Vec<Member<Identity>> = Vec::new();
        let mut disbelieved = None;
        let us = self.foca.identity().peer;
        let mut is_suspected = false;
        let mut rest = members;
        while !rest.is_empty() {
            let Ok((heard, after)) = postcard::take_from_bytes::<Member<Heard<'_>>>(rest) else {
                return Vec::new();
            };
            let bytes = &rest[..rest.len() - after.len()];
            rest = after;
            match self.judge(&heard) {
                Verdict::Absurd => {
                    disbelieved = disbelieved.or_else(|| Some(Disbelieved::of(heard.id())));
                    continue;
                }
                Verdict::New => news.extend(postcard::from_bytes::<Member<Identity>>(bytes)),
                Verdict::Known => {}
            }
            is_suspected |= heard.id().peer == us && heard.state() == State::Suspect;
            if heard.state() != State::Down {
                theirs.insert(heard.id().peer, heard.id().incarnation);
            }
        }
        let mut actions = self.act(|foca, actions| foca.apply_many(news.into_iter(), true, actions));
        if is_suspected {
            // Others hear of it from those to whom it has just been told.
            actions.push(Action::Send { to: from, packet: watch::only(&self.us) });
        }
        let is_wanted = |member: &Member<Identity>| {
            let (has, ours) = (theirs.get(&member.id().peer), member.id().incarnation);
            match member.state() {
                State::Down => has.is_some_and(|has| *has <= ours),
                State::Alive | State::Suspect => asks && has.is_none_or(|has| *has < ours),
            }
        };
        actions.extend(self.tell(from, buckets, false, is_wanted));
        actions.extend(disbelieved.map(|disbelieved| disbelieve(from, disbelieved)));
        actions
    }

    /// Tells those in some buckets who are `wanted`, this peer too.
    fn tell(&self, to: PeerId, buckets: &[u8], asks: bool, wanted: impl Fn(&Member<Identity>) -> bool) -> Vec<Action> {
        let us = Member::alive(self.foca.identity().clone());
        let mut told_of: BTreeMap<u8, Vec<&Member<Identity>>> = buckets.iter().map(|at| (*at, Vec::new())).collect();
        for member in self.known.values().chain([&us]).filter(|member| wanted(member)) {
            if let Some(bucket) = told_of.get_mut(&bucket(member.id().peer)) {
                bucket.push(member);
            }
        }
        let (mut told, mut members, mut some) = (Vec::new(), Vec::new(), false);
        for this in buckets {
            let before = members.len();
            for member in told_of.get(this).into_iter().flatten() {
                // So many in one bucket are made up by somebody: some of them are enough.
                if members.len() > self.packet_bytes_max {
                    break;
                }
                // Writing to memory does not fail.
                members = postcard::to_extend(member, members).unwrap_or_default();
                some = true;
            }
            if !told.is_empty() && members.len() + told.len() > self.packet_bytes_max {
                members.truncate(before);
                break;
            }
            told.push(*this);
        }
        let packet = Packet::Members { buckets: &told, members: &members, asks };
        match some || asks && !told.is_empty() {
            true => vec![Action::Send { to, packet: packet.to_bytes() }],
            false => Vec::new(),
        }
    }
}

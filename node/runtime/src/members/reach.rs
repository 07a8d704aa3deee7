//! Links to those to whom there should be one.

use std::sync::Arc;

use shoal_membership::{Action, Identity};
use shoal_types::{Gossip, Layout, PeerId};

use super::State;
use crate::role::is_outdated;

/// Ticks between two attempts to reach a peer that is not there yet.
const RETRY_TICKS: u64 = 5;

/// Addresses dialled in one attempt, of those given and of those remembered,
/// while there is no link at all.
const DIALS: usize = 8;

/// Members reached for in one tick. More wait for the next.
const REACHES: usize = 16;

/// Members of the layout that nobody has seen reached for in one attempt.
const REACHES_ABSENT: usize = 4;

/// Linked peers to which we announce ourselves again in one attempt.
const ANNOUNCEMENTS: usize = 8;

/// How often all are told what this peer says of itself once that has changed.
pub(super) const PRESENTATIONS: u32 = 10;

/// Members told again, in one attempt, after that.
const PRESENTED: usize = 8;

impl State {
    pub(super) fn tick(&mut self) -> Vec<Action> {
        self.ticks += 1;
        self.swim.believe_at(self.context.ports.clock.wall_ms());
        self.look_at_layout();
        let mut actions = Vec::new();
        if self.ticks % RETRY_TICKS == 1 {
            self.refusals.at(self.ticks);
            if self.links == 0 {
                self.dial_some();
            }
            for turns in [&mut self.strangers, &mut self.unlinked, &mut self.absent] {
                turns.begin_round();
            }
            // An announcement may be lost: again, until the other is a member.
            for peer in self.strangers.next(ANNOUNCEMENTS) {
                if let Some(met) = self.met.get(&peer) {
                    actions.extend(self.swim.announce(Identity::of(&met.info)));
                }
            }
            self.present();
            for peer in self.absent.next(REACHES_ABSENT) {
                self.reach(peer, self.book.get(peer));
            }
        }
        for peer in self.unlinked.next(REACHES) {
            self.reach(peer, self.swim.get(peer).map(|(identity, _)| &identity.addresses));
        }
        let note = self.book.due(self.context.ports.clock.now());
        self.write_book(note);
        actions
    }

    /// Dials some of the addresses that it knows, whoever is there.
    pub(super) fn dial_some(&self) {
        let remembered = self.book.iter().flat_map(|(_, addresses)| addresses.iter());
        for addresses in [
            self.context.config.join.iter().collect::<Vec<_>>(),
            self.found.iter().chain(remembered).collect::<Vec<_>>(),
        ] {
            for n in 0..addresses.len().min(DIALS) {
                let chosen = match addresses.len() {
                    few if few <= DIALS => n,
                    many => (self.context.random() % many as u64) as usize,
                };
                self.context.ports.transport.dial(addresses[chosen].clone());
            }
        }
    }

    /// Tells what this peer says of itself: everyone for a while after that
    /// has changed, and as long as the layout says something else those whose
    /// turn to change it comes first.
    pub(super) fn present(&mut self) {
        let (info, layout) = (self.context.info(), self.layout.1.clone());
        let is_known = layout.as_ref().and_then(|layout| layout.member(info.id));
        let is_known = is_known.is_some_and(|member| !info.leaves && !is_outdated(member, &info));
        let linked: Vec<PeerId> = if self.presentations > 0 {
            self.presentations -= 1;
            self.met.iter().filter(|(_, met)| met.linked).map(|(peer, _)| *peer).collect()
        } else if let Some(layout) = layout.filter(|_| !is_known && info.revision > self.first_revision) {
            let members = layout.members.iter().map(|member| member.id);
            members.filter(|peer| self.is_linked(*peer)).take(PRESENTED).collect()
        } else {
            return;
        };
        for peer in linked {
            self.gossip(peer, &Gossip::Info(Box::new((*info).clone())));
        }
    }

    /// Any message makes the transport try the addresses that it knows.
    pub(super) fn reach(&self, peer: PeerId, addresses: Option<&Arc<[String]>>) {
        if let Some(addresses) = addresses.filter(|addresses| !addresses.is_empty()) {
            self.context.ports.transport.learn(peer, addresses);
        }
        if let Some(layout) = &self.layout.1 {
            let (mesh, version, replicas) = (layout.mesh, layout.version, layout.replicas);
            self.gossip(peer, &Gossip::Layout { mesh, version, replicas });
        }
    }

    /// Finds who of a new layout is absent.
    pub(super) fn look_at_layout(&mut self) {
        let version = self.context.layout.version();
        if version == self.layout.0 {
            return;
        }
        let before = std::mem::replace(&mut self.layout, (version, self.context.layout())).1;
        for layout in before.iter().chain(&self.layout.1.clone()) {
            for member in layout.groups().flatten() {
                self.sort_in(member.id);
            }
        }
    }

    /// Notes whether a peer is one to announce ourselves to, or to reach.
    pub(super) fn sort_in(&mut self, peer: PeerId) {
        if peer == self.context.me {
            return;
        }
        let (linked, is_member) = (self.is_linked(peer), self.swim.is_member(peer));
        let is_wanted = || self.layout.1.as_ref().is_some_and(|layout| is_in(layout, peer));
        self.strangers.set(peer, linked && !is_member);
        self.unlinked.set(peer, !linked && is_member);
        self.absent.set(peer, !linked && !is_member && is_wanted());
    }
}

/// Whether a peer is in a layout, or in the one that it replaces.
fn is_in(layout: &Layout, peer: PeerId) -> bool {
    layout.groups().any(|group| group.binary_search_by_key(&peer, |member| member.id).is_ok())
}

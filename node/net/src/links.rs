//! Which links there are, to whom, and who is to be dialed. Decides; what it
//! decides is carried out by [`Shared`](crate::shared::Shared) and the driver.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use libp2p::swarm::ConnectionId;
use shoal_ports::Inbound;
use shoal_types::PeerId;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Refusal;
use crate::link::{Link, Role};
use crate::{Limits, address};

/// Peers of which addresses are kept, for each that may be linked.
const KNOWN_PER_LINKED: usize = 4;

/// Gossip frames kept for a peer that is being dialed.
const PARKED_GOSSIP_MAX: usize = 8;

/// Two dials within this time of each other may have crossed. After it, a
/// peer that dials has lost what link there was.
const CROSSING: Duration = Duration::from_secs(10);

pub(crate) struct Links {
    local: PeerId,
    limits: Limits,
    peers: HashMap<PeerId, Peer>,
    /// Dials past their proof and not yet linked: a second one to the same
    /// peer is a duplicate.
    claims: HashSet<(PeerId, Role)>,
    /// Peers whose state the runtime has not heard of, each once.
    unannounced: VecDeque<PeerId>,
    epochs: u64,
    stopped: bool,
}

#[derive(Default)]
struct Peer {
    control: Vec<Arc<Link>>,
    bulk: Vec<Arc<Link>>,
    /// The last that worked first.
    addresses: VecDeque<String>,
    control_dial: Dial,
    bulk_dial: Dial,
    /// Set while a control link is there: which of its comings this is.
    up: Option<u64>,
    announced: Option<u64>,
    changed: Arc<Notify>,
    parked: VecDeque<Bytes>,
}

#[derive(Default)]
struct Dial {
    wanted: bool,
    under_way: bool,
    failures: u32,
    not_before: Option<Instant>,
    why: String,
}

impl Dial {
    fn rests(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|time| now < time)
    }
}

/// What there is for somebody who wants a link.
pub(crate) enum Want {
    Link(Arc<Link>),
    /// It is being made; look again when told.
    Wait(Arc<Notify>),
    /// It cannot be made now.
    No(String),
}

/// A peer to dial.
pub(crate) struct Due {
    pub(crate) peer: PeerId,
    pub(crate) role: Role,
    pub(crate) addresses: Vec<String>,
}

/// What to tell the runtime, and the links whose traffic it may then see.
pub(crate) struct Announcement {
    pub(crate) event: Inbound,
    pub(crate) then: Vec<CancellationToken>,
}

impl Peer {
    fn links(&self, role: Role) -> &Vec<Arc<Link>> {
        match role {
            Role::Control => &self.control,
            Role::Bulk => &self.bulk,
        }
    }

    fn links_mut(&mut self, role: Role) -> &mut Vec<Arc<Link>> {
        match role {
            Role::Control => &mut self.control,
            Role::Bulk => &mut self.bulk,
        }
    }

    fn dial(&mut self, role: Role) -> &mut Dial {
        match role {
            Role::Control => &mut self.control_dial,
            Role::Bulk => &mut self.bulk_dial,
        }
    }

    fn incarnation(&self) -> Option<u64> {
        self.control.first().map(|link| link.info.incarnation)
    }

    fn close_all(&mut self) {
        for link in self.control.drain(..).chain(self.bulk.drain(..)) {
            link.close();
        }
    }

    fn is_idle(&self) -> bool {
        self.up.is_none()
            && self.announced.is_none()
            && self.addresses.is_empty()
            && !self.control_dial.under_way
            && !self.bulk_dial.under_way
    }
}

impl Links {
    pub(crate) fn new(local: PeerId, limits: Limits) -> Self {
        Self {
            local,
            limits,
            peers: HashMap::new(),
            claims: HashSet::new(),
            unannounced: VecDeque::new(),
            epochs: 0,
            stopped: false,
        }
    }

    /// The link to use. Where there are two, both ends use the one that the
    /// smaller id dialed.
    pub(crate) fn find(&self, peer: PeerId, role: Role) -> Option<Arc<Link>> {
        let links = self.peers.get(&peer)?.links(role);
        links.iter().find(|link| self.is_preferred(link)).or(links.first()).cloned()
    }

    fn is_preferred(&self, link: &Link) -> bool {
        link.dialed == (self.local < link.peer)
    }

    pub(crate) fn is_up(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.up.is_some())
    }

    /// Whether a link that this side dialed leads to `address`.
    pub(crate) fn is_linked_at(&self, address: &str) -> bool {
        self.peers.values().flat_map(|peer| &peer.control).any(|link| link.dialed && link.address == address)
    }

    /// A link of this role to a peer, or what to wait for.
    pub(crate) fn want(&mut self, peer: PeerId, role: Role, now: Instant) -> Want {
        if self.stopped {
            return Want::No("this peer is stopping".into());
        }
        if let Some(link) = self.find(peer, role) {
            return Want::Link(link);
        }
        let Some(state) = self.peers.get_mut(&peer) else {
            return Want::No("no address of it is known".into());
        };
        // The bulk link is made by whoever dialed the control link: perhaps
        // only that side can dial.
        let role = if state.up.is_some() { role } else { Role::Control };
        if role == Role::Bulk && !state.control.iter().any(|link| link.dialed) {
            return Want::Wait(state.changed.clone());
        }
        let has_address = !state.addresses.is_empty();
        let changed = state.changed.clone();
        let dial = state.dial(role);
        if dial.under_way {
            Want::Wait(changed)
        } else if !has_address {
            Want::No("no address of it is known".into())
        } else if dial.rests(now) {
            Want::No(dial.why.clone())
        } else {
            dial.wanted = true;
            Want::Wait(changed)
        }
    }

    /// Keeps a gossip frame until the peer, being dialed, is linked.
    pub(crate) fn park(&mut self, peer: PeerId, frame: Bytes) {
        if let Some(state) = self.peers.get_mut(&peer)
            && state.parked.len() < PARKED_GOSSIP_MAX
        {
            state.parked.push_back(frame);
        }
    }

    pub(crate) fn learn(&mut self, peer: PeerId, addresses: &[String]) {
        let known_max = self.limits.peers.saturating_mul(KNOWN_PER_LINKED);
        if peer == self.local || (!self.peers.contains_key(&peer) && self.peers.len() >= known_max) {
            return;
        }
        let kept_max = self.limits.addresses_per_peer;
        let addresses: Vec<&String> =
            addresses.iter().filter(|text| address::is_host_port(text)).take(kept_max).collect();
        if addresses.is_empty() && !self.peers.contains_key(&peer) {
            return;
        }
        let state = self.peers.entry(peer).or_default();
        for address in addresses {
            if !state.addresses.contains(address) {
                // News may be why the last dial failed.
                state.control_dial.not_before = None;
                state.addresses.push_back(address.clone());
            }
        }
        while state.addresses.len() > kept_max.max(1) {
            // The first is the one that worked last; the next is the oldest.
            state.addresses.remove(1);
        }
    }

    /// An address turned out to be somebody else's.
    pub(crate) fn unlearn(&mut self, peer: PeerId, address: &str) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.addresses.retain(|known| known != address);
        }
    }

    /// Forgets the peer and closes what links there are.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.addresses.clear();
            state.parked.clear();
            state.control_dial.wanted = false;
            state.bulk_dial.wanted = false;
            self.down(peer);
        }
    }

    /// A dial that has proved itself says that it goes on.
    pub(crate) fn claim(&mut self, peer: PeerId, role: Role, incarnation: u64) -> Result<(), Refusal> {
        if self.stopped {
            return Err(Refusal::Stopping);
        }
        let linked = self.peers.get(&peer).is_some_and(|state| {
            state.links(role).iter().any(|link| link.info.incarnation == incarnation && !link.closed.is_cancelled())
        });
        if linked || !self.claims.insert((peer, role)) { Err(Refusal::Duplicate) } else { Ok(()) }
    }

    pub(crate) fn unclaim(&mut self, peer: PeerId, role: Role) {
        self.claims.remove(&(peer, role));
    }

    /// Takes a newly admitted connection in. Gives the link that has become
    /// redundant, if this side is to close it.
    pub(crate) fn register(&mut self, link: &Arc<Link>) -> Result<Option<Arc<Link>>, Refusal> {
        let peer = link.peer;
        if self.stopped {
            return Err(Refusal::Stopping);
        }
        let linked = self.peers.values().filter(|state| state.up.is_some()).count();
        match self.peers.get(&peer).and_then(Peer::incarnation) {
            Some(known) if link.info.incarnation < known => return Err(Refusal::Stale),
            // It has restarted: what links there are lead to a process that is gone.
            Some(known) if link.info.incarnation > known => self.down(peer),
            Some(_) => {}
            None if link.role == Role::Bulk => return Err(Refusal::NoControl),
            None if linked >= self.limits.peers => return Err(Refusal::TooManyPeers),
            None => {}
        }
        self.learn(peer, &link.info.addresses);
        let local = self.local;
        let state = self.peers.entry(peer).or_default();
        if link.role == Role::Bulk && state.control.is_empty() {
            return Err(Refusal::NoControl);
        }
        if link.dialed {
            state.addresses.retain(|address| *address != link.address);
            state.addresses.push_front(link.address.clone());
            state.addresses.truncate(self.limits.addresses_per_peer);
        }
        let held = state.links_mut(link.role);
        if !link.dialed {
            // A peer dials when it has no link: those that it dialed before,
            // and those that are too old to have crossed this one, are dead.
            held.retain(|old| {
                let alive = old.dialed && link.since.saturating_duration_since(old.since) < CROSSING;
                if !alive {
                    old.close();
                }
                alive
            });
        }
        held.push(link.clone());
        let crossed = held.len() > 1;
        let redundant = held.iter().find(|link| crossed && link.dialed && link.dialed != (local < peer)).cloned();
        *state.dial(link.role) = Dial { under_way: state.dial(link.role).under_way, ..Dial::default() };
        if link.role == Role::Control {
            if state.up.is_none() {
                self.epochs += 1;
                state.up = Some(self.epochs);
                self.dirty(peer);
            }
            self.deliver_parked(link);
        }
        let state = self.peers.entry(peer).or_default();
        if state.up.is_some() && state.announced == state.up {
            link.announced.cancel();
        }
        state.changed.notify_waiters();
        Ok(redundant)
    }

    fn deliver_parked(&mut self, link: &Link) {
        if let Some(state) = self.peers.get_mut(&link.peer) {
            for frame in state.parked.drain(..) {
                // Its queue is longer than what was parked.
                let _ = link.gossip.try_send(frame);
            }
        }
    }

    /// A connection has closed.
    pub(crate) fn lost(&mut self, peer: PeerId, id: ConnectionId) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        for role in [Role::Control, Role::Bulk] {
            state.links_mut(role).retain(|link| {
                if link.id == id {
                    link.closed.cancel();
                }
                link.id != id
            });
        }
        if state.up.is_some() && state.control.is_empty() {
            self.down(peer);
        }
        self.tidy(peer);
    }

    fn down(&mut self, peer: PeerId) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.close_all();
        state.bulk_dial = Dial { under_way: state.bulk_dial.under_way, ..Dial::default() };
        state.changed.notify_waiters();
        if state.up.take().is_some() {
            self.dirty(peer);
        }
        self.tidy(peer);
    }

    fn dirty(&mut self, peer: PeerId) {
        if !self.unannounced.contains(&peer) {
            self.unannounced.push_back(peer);
        }
    }

    fn tidy(&mut self, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(Peer::is_idle) && !self.unannounced.contains(&peer) {
            self.peers.remove(&peer);
        }
    }

    /// What the runtime has not heard of yet. A peer that came and went
    /// meanwhile is not mentioned; one that came back is `Down`, then `Up`.
    pub(crate) fn announce(&mut self) -> Option<Announcement> {
        while let Some(peer) = self.unannounced.pop_front() {
            let Some(state) = self.peers.get_mut(&peer) else {
                continue;
            };
            if state.announced == state.up {
                self.tidy(peer);
                continue;
            }
            if state.announced.take().is_some() {
                if state.up.is_some() {
                    self.unannounced.push_front(peer);
                }
                self.tidy(peer);
                return Some(Announcement { event: Inbound::Down { peer }, then: Vec::new() });
            }
            let Some(info) = state.control.first().map(|link| Arc::new(link.info.clone())) else {
                continue;
            };
            state.announced = state.up;
            let then = state.control.iter().chain(&state.bulk).map(|link| link.announced.clone()).collect();
            return Some(Announcement { event: Inbound::Up { peer, info }, then });
        }
        None
    }

    /// Whom to dial now. Each counts as being dialed until [`Links::dialed`].
    pub(crate) fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut due = Vec::new();
        if self.stopped {
            return due;
        }
        for (peer, state) in &mut self.peers {
            // Whoever dialed the control link keeps a bulk link beside it.
            let keeps = state.control.iter().any(|link| link.dialed) && state.bulk.is_empty();
            for role in [Role::Control, Role::Bulk] {
                let wanted = match role {
                    Role::Control => state.control.is_empty() && state.control_dial.wanted,
                    Role::Bulk => keeps,
                };
                let dial = state.dial(role);
                if wanted && !dial.under_way && !dial.rests(now) {
                    dial.under_way = true;
                    dial.wanted = false;
                    due.push(Due { peer: *peer, role, addresses: state.addresses.iter().cloned().collect() });
                }
            }
        }
        due
    }

    /// A dial from [`Links::due`] has ended.
    pub(crate) fn dialed(&mut self, peer: PeerId, role: Role, outcome: Result<(), String>, now: Instant) {
        let (backoff_min, backoff_max) = (self.limits.backoff_min, self.limits.backoff_max);
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let dial = state.dial(role);
        dial.under_way = false;
        match outcome {
            Ok(()) => *dial = Dial::default(),
            Err(why) => {
                let backoff = backoff_min.saturating_mul(1 << dial.failures.min(16)).min(backoff_max);
                dial.failures += 1;
                dial.not_before = Some(now + backoff);
                dial.why = why;
                if role == Role::Control {
                    state.parked.clear();
                }
            }
        }
        state.changed.notify_waiters();
        self.tidy(peer);
    }

    /// Closes everything; nothing is taken in any more.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
        for state in self.peers.values_mut() {
            state.close_all();
            state.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests;

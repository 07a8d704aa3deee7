//! Who is there: the failure detector's actor.

mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use shoal_membership::{Action, Identity, Swim, Timer};
use shoal_types::{Gossip, Health, PeerId, PeerInfo, wire};

use crate::context::Context;
use crate::layouts::LayoutMsg;
pub(crate) use table::{MemberEntry, MemberTable};

/// The note in which the addresses of other peers are remembered.
const ADDRESSES_NOTE: &str = "addresses";

/// Peers whose addresses are remembered.
const REMEMBERED_MAX: usize = 1_000;

/// Refusals kept for `shoal status`.
const REFUSALS_MAX: usize = 16;

/// Addresses found on the local network that are dialled.
const FOUND_MAX: usize = 256;

/// Ticks between two attempts to reach a peer that is not there yet.
const RETRY_TICKS: u64 = 5;

pub(crate) enum MembersMsg {
    Up { peer: PeerId, info: PeerInfo },
    Down { peer: PeerId },
    Swim { from: PeerId, packet: Bytes },
    Dead { from: PeerId, incarnation: u64 },
    Leaving { from: PeerId, incarnation: u64 },
    Refused { address: String, why: String },
    Found { address: String },
    Due(Timer),
    Tick,
    Leave(RpcReplyPort<()>),
}

pub(crate) struct Members;

pub(crate) struct State {
    context: Arc<Context>,
    swim: Swim,
    /// Peers to which there is a link.
    links: BTreeMap<PeerId, PeerInfo>,
    /// What peers said of themselves when they were linked last.
    infos: BTreeMap<PeerId, PeerInfo>,
    /// Incarnations that said that they go.
    leaving: BTreeMap<PeerId, u64>,
    /// When the present health of a peer was first seen.
    since: BTreeMap<PeerId, (Health, Duration)>,
    remembered: BTreeMap<PeerId, Vec<String>>,
    refusals: BTreeMap<String, (String, Duration)>,
    found: Vec<String>,
    ticks: u64,
}

impl Actor for Members {
    type Msg = MembersMsg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, state: State) -> Result<State, ActorProcessingErr> {
        for (peer, addresses) in &state.remembered {
            state.context.ports.transport.learn(*peer, addresses.clone());
        }
        myself.cast(MembersMsg::Tick)?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let actions = match message {
            MembersMsg::Up { peer, info } => state.link_up(peer, info),
            MembersMsg::Down { peer } => {
                state.links.remove(&peer);
                vec![]
            }
            MembersMsg::Swim { from, packet } => state.swim.packet(from, &packet),
            MembersMsg::Dead { from, incarnation } => match state.links.get(&from) {
                Some(info) => state.swim.declared_dead(incarnation, Identity::of(info)),
                None => vec![],
            },
            MembersMsg::Leaving { from, incarnation } => {
                state.leaving.insert(from, incarnation);
                vec![]
            }
            MembersMsg::Refused { address, why } => {
                state.refused(address, why);
                vec![]
            }
            MembersMsg::Found { address } => {
                state.find(address);
                vec![]
            }
            MembersMsg::Due(timer) => state.swim.timer(timer),
            MembersMsg::Tick => {
                let context = state.context.clone();
                let next = myself.clone();
                context.clone().spawn("members tick", async move {
                    context.ports.clock.sleep(context.config.timing.tick).await;
                    // The actor may have stopped; then nobody ticks.
                    let _ = next.cast(MembersMsg::Tick);
                });
                state.tick()
            }
            MembersMsg::Leave(reply) => {
                let incarnation = state.swim.identity().incarnation;
                for peer in state.links.keys() {
                    state.gossip(*peer, &Gossip::Leaving { incarnation });
                }
                let actions = state.swim.leave();
                let _ = reply.send(());
                actions
            }
        };
        state.perform(&myself, actions);
        state.publish();
        Ok(())
    }
}

impl State {
    /// Reads what was remembered from the last time.
    pub(crate) async fn load(context: &Arc<Context>) -> shoal_types::Result<Self> {
        let store = context.ports.store.clone();
        let note = context.blocking(move || store.note_get(ADDRESSES_NOTE)).await?;
        let remembered: BTreeMap<PeerId, Vec<String>> = match note {
            Some(bytes) => wire::decode(&bytes).unwrap_or_default(),
            None => BTreeMap::new(),
        };
        let identity =
            Identity { addresses: context.ports.transport.addresses(), ..Identity::of(&context.config.info) };
        let swim = Swim::new(identity, &context.config.timing.swim, context.random());
        Ok(Self {
            context: context.clone(),
            swim,
            links: BTreeMap::new(),
            infos: BTreeMap::new(),
            leaving: BTreeMap::new(),
            since: BTreeMap::new(),
            remembered,
            refusals: BTreeMap::new(),
            found: Vec::new(),
            ticks: 0,
        })
    }

    fn link_up(&mut self, peer: PeerId, info: PeerInfo) -> Vec<Action> {
        tracing::info!(peer = %peer.short(), name = %info.name, version = %info.version, "linked");
        if self.leaving.get(&peer).is_some_and(|gone| *gone < info.incarnation) {
            self.leaving.remove(&peer);
        }
        self.context.ports.transport.learn(peer, info.addresses.clone());
        self.remember(peer, &info.addresses);
        let identity = Identity::of(&info);
        self.links.insert(peer, info.clone());
        self.infos.insert(peer, info);
        if let Ok(actors) = self.context.actors() {
            // A stopped layout actor means that the peer stops.
            let _ = actors.layouts.cast(LayoutMsg::Linked(peer));
        }
        self.swim.announce(identity)
    }

    fn refused(&mut self, address: String, why: String) {
        tracing::warn!(%address, %why, "not admitted");
        if self.refusals.len() >= REFUSALS_MAX {
            let oldest = self.refusals.iter().min_by_key(|(_, (_, at))| *at).map(|(address, _)| address.clone());
            if let Some(oldest) = oldest {
                self.refusals.remove(&oldest);
            }
        }
        self.refusals.insert(address, (why, self.context.ports.clock.now()));
    }

    fn find(&mut self, address: String) {
        if self.found.len() < FOUND_MAX && !self.found.contains(&address) && !self.is_linked_at(&address) {
            self.context.ports.transport.dial(address.clone());
            self.found.push(address);
        }
    }

    fn is_linked_at(&self, address: &str) -> bool {
        self.links.values().any(|info| info.addresses.iter().any(|other| other == address))
    }

    fn tick(&mut self) -> Vec<Action> {
        self.ticks += 1;
        let mut actions = Vec::new();
        if self.ticks % RETRY_TICKS != 1 {
            return actions;
        }
        let members = self.swim.members();
        // An announcement may be lost: again, until the other is a member.
        for (peer, info) in &self.links {
            let known = members.iter().any(|view| view.identity.peer == *peer && view.health != Health::Dead);
            if !known {
                actions.extend(self.swim.announce(Identity::of(info)));
            }
        }
        if self.links.is_empty() {
            for address in self.context.config.join.iter().chain(&self.found) {
                self.context.ports.transport.dial(address.clone());
            }
            for address in self.remembered.values().flatten() {
                self.context.ports.transport.dial(address.clone());
            }
        }
        // Somebody that gossip or the layout knows and to whom there is no link.
        for view in &members {
            if view.health != Health::Dead && !self.links.contains_key(&view.identity.peer) {
                self.reach(view.identity.peer, &view.identity.addresses);
            }
        }
        if let Some(layout) = self.context.layout() {
            for peer in layout.everyone() {
                if peer != self.context.me && !self.links.contains_key(&peer) {
                    let addresses = self.remembered.get(&peer).cloned().unwrap_or_default();
                    self.reach(peer, &addresses);
                }
            }
        }
        actions
    }

    /// Any message makes the transport try the addresses that it knows.
    fn reach(&self, peer: PeerId, addresses: &[String]) {
        if !addresses.is_empty() {
            self.context.ports.transport.learn(peer, addresses.to_vec());
        }
        if let Some(layout) = self.context.layout() {
            self.gossip(peer, &Gossip::Layout { mesh: layout.mesh, version: layout.version });
        }
    }

    fn remember(&mut self, peer: PeerId, addresses: &[String]) {
        if addresses.is_empty() || self.remembered.get(&peer).is_some_and(|known| known == addresses) {
            return;
        }
        if self.remembered.len() >= REMEMBERED_MAX && !self.remembered.contains_key(&peer) {
            return;
        }
        self.remembered.insert(peer, addresses.to_vec());
        let Ok(note) = wire::encode(&self.remembered) else {
            return;
        };
        let store = self.context.ports.store.clone();
        self.context.ports.spawner.blocking(Box::new(move || {
            if let Err(error) = store.note_put(ADDRESSES_NOTE, &note) {
                tracing::warn!(%error, "cannot remember the addresses of other peers");
            }
        }));
    }

    fn gossip(&self, to: PeerId, gossip: &Gossip) {
        match wire::encode(gossip) {
            Ok(frame) => self.context.ports.transport.gossip(to, frame),
            Err(error) => tracing::error!(%error, "gossip does not encode"),
        }
    }

    fn perform(&mut self, myself: &ActorRef<MembersMsg>, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { to, packet } => self.gossip(to, &Gossip::Swim(packet)),
                Action::TellDead { to, incarnation } => self.gossip(to, &Gossip::Dead { incarnation }),
                Action::After { delay, timer } => {
                    let (context, myself) = (self.context.clone(), myself.clone());
                    self.context.spawn("swim timer", async move {
                        context.ports.clock.sleep(delay).await;
                        let _ = myself.cast(MembersMsg::Due(timer));
                    });
                }
                Action::Up(identity) => {
                    tracing::info!(peer = %identity.peer.short(), "alive");
                    self.context.ports.transport.learn(identity.peer, identity.addresses.clone());
                    self.remember(identity.peer, &identity.addresses);
                }
                Action::Down(identity) => {
                    tracing::warn!(peer = %identity.peer.short(), "dead");
                    self.context.ports.transport.forget(identity.peer);
                    self.links.remove(&identity.peer);
                    // It may come back where it was.
                    self.context.ports.transport.learn(identity.peer, identity.addresses);
                }
            }
        }
    }

    fn publish(&mut self) {
        let now = self.context.ports.clock.now();
        let mut entries = BTreeMap::new();
        for view in self.swim.members() {
            let peer = view.identity.peer;
            if peer == self.context.me {
                continue;
            }
            let gone = self.leaving.get(&peer).is_some_and(|incarnation| *incarnation >= view.identity.incarnation);
            let health = if gone { Health::Leaving } else { view.health };
            let since = match self.since.get(&peer) {
                Some((known, since)) if *known == health => *since,
                _ => now,
            };
            self.since.insert(peer, (health, since));
            let entry = MemberEntry {
                addresses: view.identity.addresses,
                incarnation: view.identity.incarnation,
                info: self.infos.get(&peer).cloned(),
                health,
                linked: self.links.contains_key(&peer),
                since,
            };
            entries.insert(peer, entry);
        }
        let refusals = self.refusals.iter().map(|(address, (why, _))| (address.clone(), why.clone())).collect();
        self.context.publish_members(MemberTable { entries, refusals });
    }
}

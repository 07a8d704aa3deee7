//! Who is there: the failure detector's actor.

mod book;
mod changes;
mod incarnation;
mod reach;
mod refusals;
mod table;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use shoal_membership::{Action, Identity, Swim, Timer};
use shoal_types::{Gossip, Health, PeerId, PeerInfo, PeerMap, wire};

use crate::context::Context;
use crate::gauges;
use crate::layouts::{LayoutMsg, Theirs};
use crate::placed::Placed;
use crate::planted::Planted;
use book::AddressBook;
pub use incarnation::next_incarnation;
pub(crate) use refusals::REFUSALS_MAX;
use refusals::Refusals;
pub(crate) use table::{MemberEntry, MemberTable};
use turns::Turns;

/// The note in which the addresses of other peers are remembered.
const ADDRESSES_NOTE: &str = "addresses";

/// Addresses found on the local network that are dialled.
const FOUND_MAX: usize = 256;

pub(crate) enum MembersMsg {
    Up {
        peer: PeerId,
        info: Arc<PeerInfo>,
    },
    Down {
        peer: PeerId,
    },
    Swim {
        from: PeerId,
        packet: Bytes,
    },
    Dead {
        from: PeerId,
        incarnation: u64,
    },
    Outdated {
        from: PeerId,
        incarnation: u64,
    },
    Leaving {
        from: PeerId,
        incarnation: u64,
    },
    Info {
        from: PeerId,
        info: Box<PeerInfo>,
    },
    /// A peer says that it is of no mesh any more.
    Homeless(PeerId),
    /// This peer says something else of itself than before.
    Present,
    Refused {
        address: String,
        why: String,
    },
    Found {
        address: String,
    },
    Due {
        timer: Timer,
        /// When it was due.
        since: Duration,
    },
    Tick,
    Leave(RpcReplyPort<()>),
}

pub(crate) struct Members;

/// A peer to which there is a link, or was.
struct Met {
    info: Arc<PeerInfo>,
    linked: bool,
}

/// Nothing here is done for every member at every message: in a mesh of
/// thousands, messages come by the thousand.
pub(crate) struct State {
    context: Arc<Context>,
    swim: Swim,
    met: PeerMap<Met>,
    links: usize,
    /// Incarnations that said that they go.
    leaving: BTreeMap<PeerId, u64>,
    /// Our last incarnation that is on disk.
    kept_incarnation: u64,
    /// Of whom something absurd was said last.
    disbelieved: Option<(PeerId, u64)>,
    /// About whom something else than their health may have changed.
    touched: BTreeSet<PeerId>,
    /// Linked, but no members yet.
    strangers: Turns,
    /// Members that live, without a link.
    unlinked: Turns,
    /// Of the layout, without a link, and dead or never seen.
    absent: Turns,
    /// The layout for which those were found, and its version as published.
    layout: (u64, Option<Arc<Placed>>),
    book: AddressBook,
    refusals: Refusals,
    found: Vec<String>,
    /// How often all are still to be told what this peer says of itself.
    presentations: u32,
    /// Of what it said on its first links.
    first_revision: u64,
    ticks: u64,
}

impl Actor for Members {
    type Msg = MembersMsg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, myself: ActorRef<Self::Msg>, state: State) -> Result<State, ActorProcessingErr> {
        for (peer, addresses) in state.book.iter() {
            state.context.ports.transport.learn(peer, addresses);
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
                state.link_down(peer);
                // It may have died. If it has not, it is reached through others, or again.
                state.swim.link_lost(peer)
            }
            MembersMsg::Swim { from, packet } => state.swim.packet(from, &packet),
            MembersMsg::Dead { from, incarnation } => state.declared_dead(from, incarnation),
            MembersMsg::Outdated { from, incarnation } => state.outdated(from, incarnation),
            MembersMsg::Leaving { from, incarnation } => {
                if state.swim.believes(incarnation) {
                    state.leaving.insert(from, incarnation);
                    state.touched.insert(from);
                }
                vec![]
            }
            MembersMsg::Info { from, info } => {
                state.heard(from, *info);
                vec![]
            }
            MembersMsg::Homeless(peer) => {
                state.lost_its_mesh(peer);
                vec![]
            }
            MembersMsg::Present => {
                state.presentations = reach::PRESENTATIONS;
                state.present();
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
            MembersMsg::Due { timer, since } => {
                let late = state.context.ports.clock.now().saturating_sub(since);
                state.swim.timer(timer, late)
            }
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
                let actions = state.leave();
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
        let identity =
            Identity { addresses: context.ports.transport.addresses().into(), ..Identity::of(&context.info()) };
        let mut swim = Swim::new(identity, &context.config.timing.swim, context.random());
        swim.believe_at(context.ports.clock.wall_ms());
        let turns = || Turns::after(context.me);
        Ok(Self {
            context: context.clone(),
            swim,
            met: PeerMap::default(),
            links: 0,
            leaving: BTreeMap::new(),
            kept_incarnation: context.config.info.incarnation,
            disbelieved: None,
            touched: BTreeSet::new(),
            strangers: turns(),
            unlinked: turns(),
            absent: turns(),
            layout: (0, None),
            book: AddressBook::of(note),
            refusals: Refusals::default(),
            found: Vec::new(),
            presentations: 0,
            first_revision: context.info().revision,
            ticks: 0,
        })
    }

    fn link_up(&mut self, peer: PeerId, info: Arc<PeerInfo>) -> Vec<Action> {
        tracing::info!(peer = %peer.short(), name = %info.name, version = %info.version, "linked");
        if self.leaving.get(&peer).is_some_and(|gone| *gone < info.incarnation) {
            self.leaving.remove(&peer);
        }
        self.context.ports.transport.learn(peer, &info.addresses);
        self.refusals.linked(&info.addresses);
        let known = self.swim.get(peer);
        if let Some((before, _)) = known {
            self.refusals.linked(&before.addresses);
        }
        let identity = match known {
            // One copy of its addresses is enough.
            Some((known, _)) if known.addresses[..] == info.addresses[..] => {
                Identity { incarnation: info.incarnation, ..known.clone() }
            }
            Some(_) | None => Identity::of(&info),
        };
        let is_news =
            known.is_none_or(|(known, health)| health == Health::Dead || known.incarnation < info.incarnation);
        self.book.enter(peer, &identity.addresses);
        let before = self.met.get(&peer).filter(|met| is_later(&met.info, &info)).map(|met| met.info.clone());
        let info = before.unwrap_or(info);
        let theirs = Theirs::of(&info);
        let before = self.met.insert(peer, Met { info, linked: true });
        self.links += usize::from(before.is_none_or(|met| !met.linked));
        self.touched.insert(peer);
        if let Ok(actors) = self.context.actors() {
            // A stopped layout actor means that the peer stops.
            let _ = actors.layouts.cast(LayoutMsg::Linked { peer, theirs });
        }
        // Whoever knows the other already has heard of it from somebody, and
        // so has the other of us: in a large mesh that is how it is mostly.
        if is_news { self.swim.announce(identity) } else { vec![] }
    }

    /// What a peer says of itself, having changed that.
    fn heard(&mut self, from: PeerId, info: PeerInfo) {
        if info.id != from || !info.fits() {
            tracing::warn!(from = %from.short(), "a peer says of itself what cannot be");
        } else if let Some(met) = self.met.get_mut(&from).filter(|met| is_later(&info, &met.info)) {
            met.info = Arc::new(info);
            self.touched.insert(from);
        }
    }

    fn lost_its_mesh(&mut self, peer: PeerId) {
        if let Some(met) = self.met.get_mut(&peer).filter(|met| met.info.mesh.is_some()) {
            met.info = Arc::new(PeerInfo { mesh: None, replicas: None, ..(*met.info).clone() });
            self.touched.insert(peer);
        }
    }

    fn link_down(&mut self, peer: PeerId) {
        if let Some(met) = self.met.get_mut(&peer).filter(|met| met.linked) {
            met.linked = false;
            self.links -= 1;
            self.touched.insert(peer);
        }
    }

    fn is_linked(&self, peer: PeerId) -> bool {
        self.met.get(&peer).is_some_and(|met| met.linked)
    }

    fn declared_dead(&mut self, teller: PeerId, incarnation: u64) -> Vec<Action> {
        match self.met.get(&teller).filter(|met| met.linked) {
            Some(_) if self.context.has_planted(Planted::DeafToDeath) => vec![],
            Some(met) => {
                let actions = self.swim.declared_dead(incarnation, Identity::of(&met.info));
                self.keep_incarnation();
                actions
            }
            None => vec![],
        }
    }

    fn outdated(&mut self, teller: PeerId, incarnation: u64) -> Vec<Action> {
        match self.met.get(&teller).filter(|met| met.linked) {
            Some(met) => {
                let actions = self.swim.outdated(incarnation, Identity::of(&met.info));
                self.keep_incarnation();
                actions
            }
            None => vec![],
        }
    }

    /// For the next start, which has to be a later one.
    fn keep_incarnation(&mut self) {
        let incarnation = self.swim.identity().incarnation;
        if incarnation > self.kept_incarnation {
            self.kept_incarnation = incarnation;
            let store = self.context.ports.store.clone();
            self.context.ports.spawner.blocking(Box::new(move || {
                if let Err(error) = incarnation::keep(&*store, incarnation) {
                    tracing::warn!(%error, "cannot remember its incarnation");
                }
            }));
        }
    }

    fn leave(&mut self) -> Vec<Action> {
        let incarnation = self.swim.identity().incarnation;
        for (peer, _) in self.met.iter().filter(|(_, met)| met.linked) {
            self.gossip(*peer, &Gossip::Leaving { incarnation });
        }
        let note = self.book.note(self.context.ports.clock.now());
        self.write_book(note);
        self.swim.leave()
    }

    fn refused(&mut self, address: String, why: String) {
        tracing::warn!(%address, %why, "not admitted");
        self.refusals.note(self.ticks, address, why);
        gauges::note(&self.context.levels.refusals, self.refusals.len());
    }

    fn find(&mut self, address: String) {
        if self.found.len() < FOUND_MAX && !self.found.contains(&address) && !self.is_linked_at(&address) {
            self.context.ports.transport.dial(address.clone());
            self.found.push(address);
        }
    }

    fn is_linked_at(&self, address: &str) -> bool {
        self.met.values().any(|met| met.linked && met.info.addresses.iter().any(|other| other == address))
    }

    fn write_book(&self, note: Option<shoal_types::Result<Bytes>>) {
        let note = match note {
            Some(Ok(note)) => note,
            Some(Err(error)) => {
                tracing::error!(%error, "the addresses of other peers do not encode");
                return;
            }
            None => return,
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
                Action::TellOutdated { to, incarnation } => self.gossip(to, &Gossip::Outdated { incarnation }),
                Action::After { delay, timer } => {
                    let (context, myself) = (self.context.clone(), myself.clone());
                    let since = context.ports.clock.now() + delay;
                    self.context.spawn("swim timer", async move {
                        context.ports.clock.sleep(delay).await;
                        let _ = myself.cast(MembersMsg::Due { timer, since });
                    });
                }
                Action::Disbelieved { teller, member, incarnation } => {
                    // Once: a mad clock goes on and on.
                    if self.disbelieved.replace((member, incarnation)) != Some((member, incarnation)) {
                        let (teller, member) = (teller.short(), member.short());
                        tracing::warn!(%teller, %member, incarnation, "not believed: look at that peer's clock");
                    }
                }
                Action::Up(identity) => {
                    tracing::info!(peer = %identity.peer.short(), "alive");
                    self.context.ports.transport.learn(identity.peer, &identity.addresses);
                    self.book.enter(identity.peer, &identity.addresses);
                }
                Action::Down(identity) => {
                    tracing::warn!(peer = %identity.peer.short(), "dead");
                    self.context.ports.transport.forget(identity.peer);
                    self.link_down(identity.peer);
                    // It may come back where it was.
                    self.context.ports.transport.learn(identity.peer, &identity.addresses);
                }
            }
        }
    }

    /// Says what has changed to all who look at the table.
    fn publish(&mut self) {
        let mut touched = self.swim.take_changed();
        touched.append(&mut self.touched);
        for peer in &touched {
            self.sort_in(*peer);
        }
        let refusals = self.refusals.take_changed();
        if touched.is_empty() && refusals.is_none() {
            return;
        }
        self.context.members.change(|table| {
            let mut changed = refusals.is_some();
            for peer in touched {
                changed |= self.enter(table, peer);
            }
            if let Some(refusals) = refusals {
                table.refusals = refusals;
            }
            changed
        });
    }

    /// Brings a peer's entry up to date; whether that changed it.
    fn enter(&self, table: &mut MemberTable, peer: PeerId) -> bool {
        let Some((identity, health)) = self.swim.get(peer) else {
            return table.set(peer, None);
        };
        let gone = self.leaving.get(&peer).is_some_and(|incarnation| *incarnation >= identity.incarnation);
        let health = if gone { Health::Leaving } else { health };
        let before = table.entries.get(&peer);
        let met = self.met.get(&peer);
        let entry = MemberEntry {
            addresses: identity.addresses.clone(),
            incarnation: identity.incarnation,
            info: met.map(|met| met.info.clone()),
            health,
            linked: met.is_some_and(|met| met.linked),
            since: match before {
                Some(before) if before.health == health => before.since,
                Some(_) | None => self.context.ports.clock.now(),
            },
        };
        table.set(peer, Some(entry))
    }
}

/// Whether a peer has said this of itself after that.
fn is_later(info: &PeerInfo, than: &PeerInfo) -> bool {
    (info.incarnation, info.revision) > (than.incarnation, than.revision)
}

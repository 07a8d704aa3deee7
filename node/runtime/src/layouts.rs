//! The layout in force here: the actor that learns, proposes and settles versions.
//!
//! ```text
//!   settled v  --(who is in changes)-->  joint v+1  --(all brought over)-->  settled v+2
//! ```
//!
//! Version `v + 1` is decided in the register `Layout(v + 1)`, whose acceptors
//! are the members of `v`: a minority cannot change it, and whoever proposes,
//! everyone learns the same value. While joint, names and chunks are kept by
//! old and new owners; each member brings what it holds to the new owners and
//! says so, and only then are the old ones let go.

mod change;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use shoal_register::Decision;
use shoal_types::{Gossip, Layout, Member, MeshId, PeerId, PeerInfo, RegisterKey, Request, Response, Result, wire};

use crate::context::Context;
use crate::registers::{self, RegistersMsg};
use crate::replicate;

/// The note in which the layout is kept.
const LAYOUT_NOTE: &str = "layout";

/// Ticks between two hints at our layout version to peers at random.
const HINT_TICKS: u64 = 5;

/// For how many ticks another mesh must have been there before ours is given up.
const YIELD_TICKS: u64 = 5;

/// Each next candidate waits this many ticks longer before it proposes, so
/// that they do not outbid each other.
const TURN_TICKS: u64 = 10;

pub(crate) enum LayoutMsg {
    /// Takes up the layout of the last time, or forms a mesh where that is wanted.
    Start(RpcReplyPort<Result<()>>),
    /// A link to a peer is there.
    Linked(PeerId),
    /// A peer says which version it knows.
    Hint {
        from: PeerId,
        mesh: MeshId,
        version: u64,
    },
    /// A peer says that it belongs to no mesh.
    Homeless(PeerId),
    /// A committed version.
    Learn(Layout),
    /// An attempt to change it has ended.
    Proposed(Result<Layout>),
    Tick,
}

pub(crate) struct Layouts;

pub(crate) struct State {
    context: Arc<Context>,
    layout: Option<Layout>,
    started: Duration,
    proposing: bool,
    /// Since when a change has been wanted, in ticks.
    wanted_ticks: u64,
    ticks: u64,
    /// Peers that belong to another mesh with the same secret.
    foreign: BTreeMap<PeerId, MeshId>,
    /// For how many ticks one of them has been there.
    foreign_ticks: u64,
}

impl Actor for Layouts {
    type Msg = LayoutMsg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Self::Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: Self::Msg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            LayoutMsg::Start(reply) => {
                let started = match state.layout.clone() {
                    Some(layout) => state.adopt(layout, false).await,
                    None if state.context.config.form => state.form().await,
                    None => Ok(()),
                };
                myself.cast(LayoutMsg::Tick)?;
                let _ = reply.send(started);
            }
            LayoutMsg::Linked(peer) => state.hint(peer),
            LayoutMsg::Hint { from, mesh, version } => state.hinted(&myself, from, mesh, version),
            LayoutMsg::Homeless(peer) => {
                state.foreign.remove(&peer);
            }
            LayoutMsg::Learn(layout) => state.learn(layout).await?,
            LayoutMsg::Proposed(result) => {
                state.proposing = false;
                match result {
                    Ok(layout) => {
                        state.learn(layout.clone()).await?;
                        state.spread(layout);
                    }
                    Err(error) => tracing::info!(%error, "the layout was not changed"),
                }
            }
            LayoutMsg::Tick => {
                let (context, next) = (state.context.clone(), myself.clone());
                state.context.spawn("layout tick", async move {
                    context.ports.clock.sleep(context.config.timing.tick).await;
                    // The actor may have stopped; then nobody ticks.
                    let _ = next.cast(LayoutMsg::Tick);
                });
                state.tick(&myself).await?;
            }
        }
        Ok(())
    }
}

impl State {
    pub(crate) async fn load(context: &Arc<Context>) -> Result<Self> {
        let store = context.ports.store.clone();
        let note = context.blocking(move || store.note_get(LAYOUT_NOTE)).await?;
        let kept = note.filter(|bytes| !bytes.is_empty());
        let layout = kept.map(|bytes| wire::decode::<Layout>(&bytes)).transpose()?;
        Ok(Self {
            context: context.clone(),
            layout,
            started: context.ports.clock.now(),
            proposing: false,
            wanted_ticks: 0,
            ticks: 0,
            foreign: BTreeMap::new(),
            foreign_ticks: 0,
        })
    }

    /// A mesh of our own.
    async fn form(&mut self) -> Result<()> {
        let mut mesh = [0; 16];
        self.context.ports.rng.fill(&mut mesh);
        let layout = Layout::first(MeshId::from_bytes(mesh), member_of(&self.context.config.info));
        tracing::info!(mesh = %layout.mesh.short(), "formed a mesh");
        self.adopt(layout, true).await
    }

    /// Makes a committed version the one in force here: first on disk, then
    /// at the acceptors, who refuse older ones from then on, then for all.
    async fn adopt(&mut self, layout: Layout, keep: bool) -> Result<()> {
        if keep {
            let (store, note) = (self.context.ports.store.clone(), wire::encode(&layout)?);
            self.context.blocking(move || store.note_put(LAYOUT_NOTE, &note)).await?;
        }
        let registers = self.context.actors()?.registers.clone();
        call!(registers, RegistersMsg::Layout, layout.version)
            .map_err(|_| self.context.not_ready("its registers have stopped"))?;
        tracing::info!(version = layout.version, members = layout.members.len(), joint = layout.is_joint(), "layout");
        self.context.publish_layout(Some(layout.clone()));
        self.layout = Some(layout);
        self.wanted_ticks = 0;
        Ok(())
    }

    async fn learn(&mut self, layout: Layout) -> Result<()> {
        match &self.layout {
            None => {
                // Somebody else's business until it takes us in.
                if layout.involves(self.context.me) {
                    self.adopt(layout, true).await?;
                }
            }
            Some(ours) if ours.mesh == layout.mesh => {
                if layout.version > ours.version {
                    self.adopt(layout, true).await?;
                }
            }
            // Two meshes do not mix; see `yield_to_strangers`.
            Some(_) => {}
        }
        Ok(())
    }

    /// Whether nothing would be lost if this peer forgot what it holds.
    async fn is_empty(&self) -> Result<bool> {
        let store = self.context.ports.store.clone();
        self.context
            .blocking(move || Ok(store.chunk_list(None, 1)?.is_empty() && store.register_scan("", None, 1)?.is_empty()))
            .await
    }

    fn hint(&self, to: PeerId) {
        if let Some(layout) = &self.layout
            && let Ok(frame) = wire::encode(&Gossip::Layout { mesh: layout.mesh, version: layout.version })
        {
            self.context.ports.transport.gossip(to, frame);
        }
    }

    fn hinted(&mut self, myself: &ActorRef<LayoutMsg>, from: PeerId, mesh: MeshId, version: u64) {
        match &self.layout {
            Some(ours) if ours.mesh == mesh && version > ours.version => self.fetch(myself, from),
            Some(ours) if ours.mesh == mesh && version < ours.version => self.hint(from),
            Some(ours) if ours.mesh == mesh => {}
            Some(_) => {
                if self.foreign.insert(from, mesh).is_none() {
                    self.hint(from);
                }
                return;
            }
            // It may be the mesh that has us as a member.
            None => self.fetch(myself, from),
        }
        self.foreign.remove(&from);
    }

    /// Asks a peer that knows a later version for it.
    fn fetch(&self, myself: &ActorRef<LayoutMsg>, from: PeerId) {
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("layout fetch", async move {
            match context.call(from, Request::LayoutGet).await {
                Ok(Response::Layout(Some(layout))) => {
                    let _ = myself.cast(LayoutMsg::Learn(layout));
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "no layout from a peer that has one"),
            }
        });
    }

    /// Tells everyone whom it concerns, the newcomers too.
    fn spread(&self, layout: Layout) {
        for peer in layout.everyone().into_iter().filter(|peer| *peer != self.context.me) {
            let (context, layout) = (self.context.clone(), layout.clone());
            self.context.spawn("layout spread", async move {
                if let Err(error) = context.call(peer, Request::LayoutLearn(layout)).await {
                    tracing::debug!(%error, peer = %peer.short(), "told no layout");
                }
            });
        }
    }

    async fn tick(&mut self, myself: &ActorRef<LayoutMsg>) -> Result<()> {
        self.ticks += 1;
        let context = self.context.clone();
        let Some(layout) = self.layout.clone() else {
            if context.config.join.is_empty() && self.may_form() {
                self.form().await?;
            }
            return Ok(());
        };
        let members = context.members();
        if self.ticks.is_multiple_of(HINT_TICKS) {
            let linked: Vec<PeerId> =
                members.entries.iter().filter(|(_, entry)| entry.linked).map(|(peer, _)| *peer).collect();
            if !linked.is_empty() {
                self.hint(linked[(context.random() % linked.len() as u64) as usize]);
            }
        }
        self.yield_to_strangers().await?;
        if self.proposing || !layout.involves(context.me) {
            return Ok(());
        }
        let now = context.ports.clock.now();
        let next = if layout.is_joint() {
            Some(layout.settled())
        } else {
            change::wanted(&layout, &members, &self.foreign, &context.config, now, self.started)
        };
        let Some(next) = next else {
            self.wanted_ticks = 0;
            return Ok(());
        };
        self.wanted_ticks += 1;
        if self.wanted_ticks < 2 + TURN_TICKS * change::turn(&layout, context.me, &members) {
            return Ok(());
        }
        self.propose(myself, layout, next);
        Ok(())
    }

    /// Whether to form a mesh rather than wait to be taken in: at once where
    /// nobody is, else the one with the smallest id, else after a while.
    fn may_form(&self) -> bool {
        let looked = self.context.ports.clock.now().saturating_sub(self.started);
        let discover = self.context.config.timing.discover;
        let members = self.context.members();
        let smallest = members.entries.iter().filter(|(_, entry)| entry.linked).map(|(peer, _)| *peer).min();
        match smallest {
            None => looked >= discover,
            Some(other) if self.context.me < other => looked >= discover,
            Some(_) => looked >= 5 * discover,
        }
    }

    /// Two meshes with one secret have met. A peer that is a mesh by itself
    /// and holds no data gives its own up and is taken in by the other; of two
    /// such the one with the greater id, the other a while later should
    /// nothing have come of it. Two with data stay apart, and say so.
    async fn yield_to_strangers(&mut self) -> Result<()> {
        let members = self.context.members();
        self.foreign.retain(|peer, _| members.entries.get(peer).is_some_and(|entry| entry.linked));
        let (Some(ours), Some(smallest)) = (&self.layout, self.foreign.values().min().copied()) else {
            self.foreign_ticks = 0;
            self.context.say_stranger(None);
            return Ok(());
        };
        self.foreign_ticks += 1;
        self.context.say_stranger(Some(smallest));
        let patience = if ours.mesh > smallest { YIELD_TICKS } else { 6 * YIELD_TICKS };
        let alone = ours.members.len() == 1 && !ours.is_joint() && !self.proposing;
        if self.foreign_ticks < patience || !alone || !self.is_empty().await? {
            return Ok(());
        }
        tracing::info!(ours = %ours.mesh.short(), theirs = %smallest.short(), "gives up its own empty mesh for another");
        let store = self.context.ports.store.clone();
        self.context.blocking(move || store.note_put(LAYOUT_NOTE, &[])).await?;
        self.layout = None;
        self.started = self.context.ports.clock.now();
        self.context.publish_layout(None);
        for peer in std::mem::take(&mut self.foreign).into_keys() {
            if let Ok(frame) = wire::encode(&Gossip::Homeless) {
                self.context.ports.transport.gossip(peer, frame);
            }
        }
        Ok(())
    }

    fn propose(&mut self, myself: &ActorRef<LayoutMsg>, current: Layout, next: Layout) {
        self.proposing = true;
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("layout propose", async move {
            let result = async {
                if current.is_joint() {
                    replicate::may_settle(&context, &current).await?;
                }
                decide(&context, &current, next).await
            };
            let _ = myself.cast(LayoutMsg::Proposed(result.await));
        });
    }
}

/// Runs the register that decides the version after `current`; gives what was
/// decided there, by whomever.
async fn decide(context: &Arc<Context>, current: &Layout, next: Layout) -> Result<Layout> {
    let groups = current.groups().map(|group| group.iter().map(|member| member.id).collect()).collect();
    let value = wire::encode(&next)?;
    let change = move |found: Option<&bytes::Bytes>| match found {
        None => Decision::Write(Some(value.clone())),
        Some(_) => Decision::Leave,
    };
    let outcome =
        registers::operate(context, RegisterKey::Layout(current.mesh, next.version), groups, current.version, change)
            .await?;
    let bytes = outcome.value.ok_or_else(|| shoal_types::Error::bug("a layout was decided to be nothing"))?;
    wire::decode(&bytes)
}

/// A peer as a member of a layout.
pub(crate) fn member_of(info: &PeerInfo) -> Member {
    Member { id: info.id, name: info.name.clone(), zone: info.zone.clone(), weight: info.weight }
}

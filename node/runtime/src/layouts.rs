//! The layout in force here: the actor that learns, proposes and settles versions.
//!
//! ```text
//!   settled v  --(who is in changes)-->  joint v+1  --(all brought over)-->  settled v+2
//! ```
//!
//! Version `v + 1` is decided in the register `Layout(v + 1)`, whose acceptors
//! are the members of `v`, the old ones while it is joint: a minority cannot
//! change it, and whoever proposes, everyone learns the same value. While
//! joint, names and chunks are kept by old and new owners; each member brings
//! what it holds to the new owners and says so, and only then are the old ones
//! let go. Should too many of the new ones go meanwhile, others replace them.
//! Who leaves goes when most of those who stay know the version without it.

mod change;
mod farewell;
mod held_up;
mod kept;
mod spread;
mod strangers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call};
use shoal_register::Decision;
use shoal_types::{Error, Layout, MeshId, PeerId, RegisterKey, Result, wire};

use crate::context::{Context, lock};
use crate::gauges;
use crate::planted::Planted;
use crate::registers::{self, Acceptors, Begin, Fence, Proposing, RegistersMsg};
use crate::replicate;
use crate::role::member_of;
use change::{Outlook, View};
use held_up::HeldUp;
pub use kept::ready_layout;
pub(crate) use strangers::{Stranger, Theirs, is_empty};

/// Ticks between two hints at our layout version to peers at random.
const HINT_TICKS: u64 = 5;

/// Each next candidate waits this many ticks longer before it proposes, so
/// that they do not outbid each other.
const TURN_TICKS: u64 = 10;

/// Of many peers, about so many tell a newly linked one which layout they know.
const HINTS: u64 = 16;

pub(crate) enum LayoutMsg {
    /// Takes up the layout of the last time, or forms a mesh where that is wanted.
    Start(RpcReplyPort<Result<()>>),
    /// A link to a peer is there, which is of this mesh, if of any.
    Linked {
        peer: PeerId,
        theirs: Option<Theirs>,
    },
    /// A peer says which version it knows.
    Hint {
        from: PeerId,
        theirs: Theirs,
        version: u64,
    },
    /// A peer says that it belongs to no mesh.
    Homeless(PeerId),
    /// A committed version. The answer says whether it, or a later one of
    /// its mesh, is in force here.
    Learn {
        layout: Arc<Layout>,
        reply: RpcReplyPort<bool>,
    },
    /// A peer has been asked for its layout.
    Fetched(Option<Layout>),
    /// This peer says something else of itself than before.
    Reconsider,
    /// The members have been asked whether they keep anything: nobody in the
    /// layout of this version does.
    Emptiness {
        version: Option<u64>,
    },
    /// An attempt to change it has ended.
    Proposed(Result<Layout>),
    Tick,
}

pub(crate) struct Layouts;

pub(crate) struct State {
    context: Arc<Context>,
    layout: Option<Arc<Layout>>,
    /// Whether this peer is in it.
    involved: bool,
    started: Duration,
    proposing: bool,
    held_up: HeldUp,
    /// What the last look at the members showed, by this layout.
    outlook: Option<Outlook>,
    /// Since when a change has been wanted, in ticks.
    wanted_ticks: u64,
    ticks: u64,
    /// Layouts that are being asked for.
    fetching: u32,
    /// The last layout of somebody else's mesh that was looked at.
    not_ours: Option<(MeshId, u64)>,
    /// Peers that belong to another mesh with the same secret; as long as this
    /// one is of none, to one that it does not join.
    foreign: BTreeMap<PeerId, Theirs>,
    /// For how many ticks one of them has been there.
    foreign_ticks: u64,
    /// Whether the members are being asked if they keep anything.
    asking: bool,
    /// Whether it is on its way out of a mesh that it has left.
    going: Arc<AtomicBool>,
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
            LayoutMsg::Linked { peer, theirs } => {
                state.belongs(peer, theirs);
                let many = state.context.members.look(|table| table.entries.len() as u64);
                if many <= HINTS || state.context.random() % many < HINTS {
                    state.hint(peer);
                }
            }
            LayoutMsg::Hint { from, theirs, version } => state.hinted(&myself, from, theirs, version),
            LayoutMsg::Homeless(peer) => state.no_longer_foreign(peer),
            LayoutMsg::Learn { layout, reply } => {
                state.learn(layout.clone()).await?;
                let _ = reply.send(state.has(&layout));
            }
            LayoutMsg::Fetched(layout) => {
                state.fetching -= 1;
                if let Some(layout) = layout {
                    state.learn(Arc::new(layout)).await?;
                }
            }
            LayoutMsg::Reconsider => state.outlook = None,
            LayoutMsg::Emptiness { version } => state.found_empty(&myself, version).await?,
            LayoutMsg::Proposed(result) => {
                state.proposing = false;
                gauges::note(&state.context.levels.proposals, 0);
                match result {
                    Ok(layout) => {
                        let layout = Arc::new(layout);
                        let before = state.layout.clone();
                        state.learn(layout.clone()).await?;
                        state.spread(&layout, before.as_deref());
                    }
                    Err(error) => {
                        state.not_changed(error);
                    }
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
        let layout = context.blocking(move || kept::read(&*store)).await?;
        Ok(Self {
            context: context.clone(),
            layout: layout.map(Arc::new),
            involved: false,
            started: context.ports.clock.now(),
            proposing: false,
            held_up: HeldUp::default(),
            outlook: None,
            wanted_ticks: 0,
            ticks: 0,
            fetching: 0,
            not_ours: None,
            foreign: BTreeMap::new(),
            foreign_ticks: 0,
            asking: false,
            going: Arc::default(),
        })
    }

    /// A mesh of our own.
    async fn form(&mut self) -> Result<()> {
        let mut mesh = [0; 16];
        self.context.ports.rng.fill(&mut mesh);
        let info = self.context.info();
        let layout =
            Layout::first(MeshId::from_bytes(mesh), member_of(&info), info.replicas.unwrap_or(Layout::REPLICAS));
        tracing::info!(mesh = %layout.mesh.short(), "formed a mesh");
        self.adopt(Arc::new(layout), true).await
    }

    /// Makes a committed version the one in force here: first on disk, then
    /// at the acceptors, who refuse older ones from then on, then for all. If it
    /// is the first since it was taken in, what it knew before is dropped in between.
    async fn adopt(&mut self, layout: Arc<Layout>, keep: bool) -> Result<()> {
        if keep && !self.context.has_planted(Planted::LayoutNotKept) {
            let (store, layout) = (self.context.ports.store.clone(), layout.clone());
            self.context.blocking(move || kept::write(&*store, &layout)).await?;
        }
        self.context.ports.store.chunk_copies_usual(layout.replicas);
        if registers::is_taken_in(&self.context, &layout, keep).await? {
            // Nothing is written meanwhile.
            self.fence(Fence::closed(layout.id())).await?;
            registers::drop_former(&self.context, &layout).await?;
        }
        self.fence(Fence::of(layout.id())).await?;
        tracing::info!(version = layout.version, members = layout.members.len(), joint = layout.is_joint(), "layout");
        self.context.publish_layout(Some(layout.clone()));
        self.involved = layout.involves(self.context.me);
        if self.layout.replace(layout).is_none() {
            self.look_for_strangers();
        }
        self.outlook = None;
        self.held_up = HeldUp::default();
        self.not_ours = None;
        self.wanted_ticks = 0;
        if self.context.info().leaves && !self.involved {
            self.say_farewell();
        }
        Ok(())
    }

    /// Has the acceptors here refuse operations under other versions.
    async fn fence(&self, fence: Fence) -> Result<()> {
        let registers = self.context.actors()?.registers.clone();
        let stopped = |_| self.context.not_ready("its registers have stopped");
        call!(registers, RegistersMsg::Layout, fence).map_err(stopped)
    }

    async fn learn(&mut self, layout: Arc<Layout>) -> Result<()> {
        match &self.layout {
            None => {
                // Somebody else's business until it takes us in.
                if layout.involves(self.context.me) && !self.is_not_ours(layout.mesh, layout.version) {
                    match Theirs::from(&*layout) {
                        theirs if self.is_of_others(theirs) => self.refuse(theirs),
                        _ => self.adopt(layout, true).await?,
                    }
                } else {
                    self.not_ours = Some((layout.mesh, layout.version));
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

    /// Whether this layout, or a later one of its mesh, is in force here.
    fn has(&self, layout: &Layout) -> bool {
        self.layout.as_ref().is_some_and(|ours| ours.mesh == layout.mesh && ours.version >= layout.version)
    }

    fn hinted(&mut self, myself: &ActorRef<LayoutMsg>, from: PeerId, theirs: Theirs, version: u64) {
        let mesh = theirs.mesh;
        match &self.layout {
            Some(ours) if ours.mesh == mesh && version > ours.version => self.fetch(myself, from),
            Some(ours) if ours.mesh == mesh && version < ours.version => self.hint(from),
            Some(ours) if ours.mesh == mesh => {}
            Some(_) => {
                if !self.foreign.contains_key(&from) {
                    self.hint(from);
                }
                return self.belongs(from, Some(theirs));
            }
            None if self.is_of_others(theirs) => return self.belongs(from, Some(theirs)),
            None if self.is_not_ours(mesh, version) => {}
            // It may be the mesh that has us as a member.
            None => self.fetch(myself, from),
        }
        self.no_longer_foreign(from);
    }

    /// Whether this version of a mesh's layout has been looked at, or given up.
    fn is_not_ours(&self, mesh: MeshId, version: u64) -> bool {
        self.not_ours.is_some_and(|(known, seen)| known == mesh && version <= seen)
    }

    /// A peer is of a mesh, or of none.
    fn belongs(&mut self, peer: PeerId, theirs: Option<Theirs>) {
        match theirs.filter(|theirs| self.is_of_others(*theirs)) {
            Some(theirs) if self.foreign.insert(peer, theirs) != Some(theirs) => self.outlook = None,
            Some(_) => {}
            None => self.no_longer_foreign(peer),
        }
    }

    fn no_longer_foreign(&mut self, peer: PeerId) {
        if self.foreign.remove(&peer).is_some() {
            self.outlook = None;
        }
    }

    async fn tick(&mut self, myself: &ActorRef<LayoutMsg>) -> Result<()> {
        self.ticks += 1;
        let context = self.context.clone();
        let Some(layout) = self.layout.clone() else {
            if self.ticks.is_multiple_of(HINT_TICKS) {
                self.hint_somebody();
            }
            if !self.refuse_others() && context.config.join.is_empty() && self.may_form() {
                self.form().await?;
            }
            return Ok(());
        };
        if self.ticks.is_multiple_of(HINT_TICKS) {
            self.hint_somebody();
        }
        self.yield_to_strangers(myself).await?;
        if self.proposing || !self.involved || self.layout.is_none() {
            return Ok(());
        }
        if !layout.is_joint() && !self.is_change_wanted(&layout) {
            self.wanted_ticks = 0;
            return Ok(());
        }
        self.wanted_ticks += 1;
        let Some(turn) = self.wanted_ticks.checked_sub(2).map(|ticks| ticks / TURN_TICKS) else {
            return Ok(());
        };
        let before = context.members.look(|members| change::turn(&layout, context.me, members, turn + 1));
        if before <= turn
            && self.held_up.may_try(self.ticks)
            && let Some(next) = self.next(&layout)
        {
            self.propose(myself, layout, next);
        }
        Ok(())
    }

    /// Whether the members of a settled layout should be others. Costs nothing
    /// while nothing changes.
    fn is_change_wanted(&mut self, layout: &Layout) -> bool {
        let (before, now) = (self.outlook.take(), self.context.ports.clock.now());
        let outlook = self.view(layout, now, |view| Outlook::after(before, view));
        self.outlook.insert(outlook).is_change_wanted(now)
    }

    /// The version that should follow, if one should.
    fn next(&self, layout: &Layout) -> Option<Layout> {
        if layout.is_joint() { Some(layout.settled()) } else { self.changed(layout) }
    }

    /// The joint version with those as members who should be, if that are others.
    fn changed(&self, layout: &Layout) -> Option<Layout> {
        self.view(layout, self.context.ports.clock.now(), |view| view.next())
    }

    fn view<T>(&self, layout: &Layout, now: Duration, look: impl FnOnce(&View<'_>) -> T) -> T {
        let (config, foreign, started) = (&self.context.config, &self.foreign, self.started);
        let me = &*self.context.info();
        self.context.members.look(|members| look(&View { layout, me, members, foreign, config, now, started }))
    }

    fn not_changed(&mut self, why: Error) {
        let layout = self.layout.as_ref().map(|layout| layout.id());
        *lock(&self.context.held_up) = layout.map(|layout| (layout, why.clone()));
        let told = why.to_string();
        match self.held_up.note(self.ticks, why) {
            true => tracing::info!(why = told, "the layout was not changed"),
            false => tracing::debug!(why = told, "the layout was not changed"),
        }
    }

    fn propose(&mut self, myself: &ActorRef<LayoutMsg>, current: Arc<Layout>, next: Layout) {
        self.proposing = true;
        gauges::note(&self.context.levels.proposals, 1);
        let (context, myself, unready) = (self.context.clone(), myself.clone(), self.held_up.unready());
        let elsewhere: BTreeSet<PeerId> = self.foreign.keys().copied().collect();
        let instead = if current.is_joint() { self.changed(&current) } else { None };
        self.context.spawn("layout propose", async move {
            let result = async {
                if !current.is_joint() {
                    return decide(&context, &current, next).await;
                }
                match (replicate::may_settle(&context, &current, &elsewhere, unready).await, instead) {
                    (Ok(()), _) => decide(&context, &current, next).await,
                    // Too many are away, or a disk has no room for its share: others may help out.
                    (
                        Err(Error::NoQuorum { .. } | Error::DiskFull { .. } | Error::DiskFailed { .. }),
                        Some(instead),
                    ) => decide(&context, &current, instead).await,
                    (Err(error), _) => Err(error),
                }
            };
            let _ = myself.cast(LayoutMsg::Proposed(result.await));
        });
    }
}

/// Runs the register that decides the version after `current`; gives what was
/// decided there, by whomever.
async fn decide(context: &Arc<Context>, current: &Layout, next: Layout) -> Result<Layout> {
    let groups = vec![current.deciders().iter().map(|member| member.id).collect()];
    let acceptors = Acceptors { groups, layout: current.id() };
    let value = wire::encode(&next)?;
    let change = move |found: Option<&bytes::Bytes>| match found {
        None => Decision::Write(Some(value.clone())),
        Some(_) => Decision::Leave,
    };
    let outcome = registers::operate(
        context,
        RegisterKey::Layout(current.mesh, next.version),
        acceptors,
        None,
        Proposing { begin: Begin::Preparing, is_built_on: |_, _, _| None },
        change,
    )
    .await?;
    let bytes = outcome.value.ok_or_else(|| Error::bug("a layout was decided to be nothing"))?;
    // Somebody may have proposed it who ran a build before.
    Layout::decode_kept(&bytes, current.replicas)
}

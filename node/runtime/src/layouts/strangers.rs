//! One mesh out of several: who forms one, and who gives its own up.

use std::sync::Arc;

use futures::{StreamExt, stream};
use ractor::ActorRef;
use shoal_ports::Store;
use shoal_types::{Error, Layout, MeshId, PeerId, PeerInfo, RegisterKind, RegisterSpan, Request, Response, Result};

use super::{LayoutMsg, State, TURN_TICKS, change, kept};
use crate::context::Context;
use crate::members::MemberTable;
use crate::registers::Fence;
use crate::role::member_of;
use crate::supervisor::SupervisorMsg;

/// For how many ticks another mesh must have been there before ours is given up.
const YIELD_TICKS: u64 = 5;

/// After so many ticks together two meshes are said to stay apart.
const APART_TICKS: u64 = 20 * YIELD_TICKS;

/// Members asked at once whether they keep anything.
const ASKED_AT_ONCE: usize = 32;

/// A mesh, as a peer of it tells others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Theirs {
    pub(crate) mesh: MeshId,
    /// Copies of each chunk there.
    pub(crate) replicas: u32,
}

impl Theirs {
    /// The mesh of a peer, if it is of one.
    pub(crate) fn of(info: &PeerInfo) -> Option<Self> {
        Some(Self { mesh: info.mesh?, replicas: info.replicas? })
    }
}

impl From<&Layout> for Theirs {
    fn from(layout: &Layout) -> Self {
        Self { mesh: layout.mesh, replicas: layout.replicas }
    }
}

/// Another mesh with the same secret that was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stranger {
    pub(crate) theirs: Theirs,
    /// Neither has given itself up for long: both keep data, or whoever keeps
    /// none was started with another number of copies.
    pub(crate) stay_apart: bool,
}

impl State {
    /// Whether to form a mesh rather than wait to be taken in: at once where
    /// nobody is, else the one with the smallest id, else after a while.
    pub(super) fn may_form(&self) -> bool {
        let looked = self.context.ports.clock.now().saturating_sub(self.started);
        let discover = self.context.config.timing.discover;
        let linked =
            |members: &MemberTable| members.entries.iter().find(|(_, entry)| entry.linked).map(|(peer, _)| *peer);
        let smallest = self.context.members.look(linked);
        match smallest {
            None => looked >= discover,
            Some(other) if self.context.me < other => looked >= discover,
            Some(_) => looked >= 5 * discover,
        }
    }

    /// Whether that is another mesh, or while this peer is of none, one that it
    /// does not join: of another number of copies than it was started with.
    pub(super) fn is_of_others(&self, theirs: Theirs) -> bool {
        match &self.layout {
            Some(ours) => ours.mesh != theirs.mesh,
            None => self.context.other_replicas(theirs.replicas).is_some(),
        }
    }

    /// Of no mesh yet: whether there are only such that it does not join. After
    /// a while of that it stops.
    pub(super) fn refuse_others(&mut self) -> bool {
        let foreign = &mut self.foreign;
        let finds_its_own = self.context.members.look(|members| {
            foreign.retain(|peer, _| members.entries.get(peer).is_some_and(|entry| entry.linked));
            let linked = members.entries.iter().filter(|(_, entry)| entry.linked);
            let mut others = linked.filter(|(peer, _)| !foreign.contains_key(peer));
            others.any(|(_, entry)| entry.info.as_ref().is_some_and(|info| info.mesh.is_some()))
        });
        let Some(theirs) = foreign.values().min().copied().filter(|_| !finds_its_own && self.not_ours.is_none()) else {
            self.foreign_ticks = 0;
            return false;
        };
        self.foreign_ticks += 1;
        let looked = self.context.ports.clock.now().saturating_sub(self.started);
        if self.foreign_ticks > YIELD_TICKS && looked >= 2 * self.context.config.timing.discover {
            self.refuse(theirs);
        }
        true
    }

    /// Stops this peer, which was started with another number of copies than a mesh has.
    pub(super) fn refuse(&self, theirs: Theirs) {
        let (Some(wanted), Ok(actors)) = (self.context.other_replicas(theirs.replicas), self.context.actors()) else {
            return;
        };
        let why = Error::OtherReplicas { mesh: theirs.mesh, theirs: theirs.replicas, wanted };
        // One that takes no messages has stopped, and the peer with it.
        let _ = actors.supervisor.send_message(SupervisorMsg::Refused(why));
    }

    /// Two meshes with one secret have met: one without data becomes part of
    /// the other. Its members are let go of until one is left, as ever by
    /// versions of its layout, so that nothing is lost that is written
    /// meanwhile; and who is no member of anything that could still decide,
    /// and keeps nothing, gives it up and is taken in by the other. Of two
    /// without data that with the greater id goes, the other a while later
    /// should nothing have come of it. Two with data stay apart, and say so; so
    /// does one whose peers were started with another number of copies.
    pub(super) async fn yield_to_strangers(&mut self, myself: &ActorRef<LayoutMsg>) -> Result<()> {
        let before = self.foreign.len();
        if before > 0 {
            let foreign = &mut self.foreign;
            self.context.members.look(|members| {
                foreign.retain(|peer, _| members.entries.get(peer).is_some_and(|entry| entry.linked));
            });
        }
        if self.foreign.len() < before {
            self.outlook = None;
        }
        let (Some(ours), Some(smallest)) = (self.layout.clone(), self.foreign.values().min().copied()) else {
            self.foreign_ticks = 0;
            self.context.say_stranger(None);
            return Ok(());
        };
        self.foreign_ticks += 1;
        let stay_apart = self.foreign_ticks > APART_TICKS;
        self.context.say_stranger(Some(Stranger { theirs: smallest, stay_apart }));
        let patience = if ours.mesh > smallest.mesh { YIELD_TICKS } else { 6 * YIELD_TICKS };
        let Some(waited) = self.foreign_ticks.checked_sub(patience).filter(|_| !self.proposing) else {
            return Ok(());
        };
        if !self.involved {
            // Whoever is left may have been given something meanwhile, through this very peer.
            if !self.asking && waited.is_multiple_of(YIELD_TICKS) {
                self.ask_whether_empty(myself, ours, smallest.replicas);
            }
        } else if self.is_over(&ours) {
            if self.context.other_replicas(smallest.replicas).is_none() {
                self.give_up(&ours).await?;
            }
        } else if !ours.is_joint() && !self.asking {
            // As when any change is wanted; later only the first looks, and seldom.
            let (turn, interval) = if stay_apart { (0, APART_TICKS) } else { (waited / TURN_TICKS, YIELD_TICKS) };
            let before = self.context.members.look(|members| change::turn(&ours, self.context.me, members, turn + 1));
            if before <= turn && waited.is_multiple_of(interval) {
                self.ask_whether_empty(myself, ours, smallest.replicas);
            }
        }
        Ok(())
    }

    /// Finds who is of another mesh among those who said so before this peer
    /// was of one, and tells them: they may be about to take it in, too.
    pub(super) fn look_for_strangers(&mut self) {
        let said = |members: &MemberTable| {
            let linked = members.entries.iter().filter(|(_, entry)| entry.linked);
            linked.filter_map(|(peer, entry)| Some((*peer, Theirs::of(entry.info.as_ref()?)?))).collect::<Vec<_>>()
        };
        for (peer, theirs) in self.context.members.look(said) {
            self.belongs(peer, Some(theirs));
        }
        self.foreign.keys().for_each(|peer| self.hint(*peer));
    }

    /// Whether nobody but this peer, or nobody at all, could make this layout
    /// change any more: it is alone in it, or most have gone over to other meshes.
    fn is_over(&self, ours: &Layout) -> bool {
        let gone = ours.members.iter().filter(|member| self.foreign.contains_key(&member.id)).count();
        let alone = ours.members.len() == 1 && !ours.is_joint();
        alone || gone > ours.members.len() / 2
    }

    /// Forgets the mesh, unless this peer keeps anything of it.
    async fn give_up(&mut self, ours: &Layout) -> Result<()> {
        if !is_empty(&self.context).await? {
            return Ok(());
        }
        // From here on nothing is written any more.
        self.fence(Fence::closed(ours.id())).await?;
        if !is_empty(&self.context).await? {
            return self.fence(Fence::of(ours.id())).await;
        }
        let store = self.context.ports.store.clone();
        self.context.blocking(move || kept::forget(&*store)).await?;
        self.fence(Fence::default()).await?;
        // Whoever has not heard of it yet tells of older versions.
        self.not_ours = Some((ours.mesh, ours.version));
        self.layout = None;
        self.involved = false;
        self.outlook = None;
        self.foreign_ticks = 0;
        self.started = self.context.ports.clock.now();
        self.context.say_stranger(None);
        self.context.publish_layout(None);
        self.foreign.clear();
        let linked = |members: &MemberTable| {
            let linked = members.entries.iter().filter(|(_, entry)| entry.linked);
            linked.map(|(peer, _)| *peer).collect::<Vec<_>>()
        };
        self.context.members.look(linked).into_iter().for_each(|peer| self.hint(peer));
        tracing::info!(mesh = %ours.mesh.short(), "gave up an empty mesh for another");
        Ok(())
    }

    /// Asks all members of a layout, if they are there and of this mesh. Who is
    /// not among them asks those who are: the others do not count on it. The
    /// mesh that they are to give theirs up for has so many copies.
    fn ask_whether_empty(&mut self, myself: &ActorRef<LayoutMsg>, ours: Arc<Layout>, replicas: u32) {
        let is_there = |peer: PeerId| self.context.is_live(peer) && !self.foreign.contains_key(&peer);
        let mut members: Vec<PeerId> = ours.members.iter().map(|member| member.id).collect();
        if self.involved {
            if self.context.info().weight == 0 || !members.iter().all(|member| is_there(*member)) {
                return;
            }
        } else {
            members.retain(|member| is_there(*member));
        }
        self.asking = true;
        let (context, myself) = (self.context.clone(), myself.clone());
        self.context.spawn("layout emptiness", async move {
            let asked = stream::iter(members).map(|peer| {
                let context = context.clone();
                async move { context.call(peer, Request::IsEmpty { replicas }).await }
            });
            let is_empty = |answer| std::future::ready(matches!(answer, Ok(Response::Empty(true))));
            let version = asked.buffered(ASKED_AT_ONCE).all(is_empty).await.then_some(ours.version);
            let _ = myself.cast(LayoutMsg::Emptiness { version });
        });
    }

    /// Nobody in the layout of this `version` keeps anything: it is to be that
    /// of this peer alone; one that is not in it goes.
    pub(super) async fn found_empty(&mut self, myself: &ActorRef<LayoutMsg>, version: Option<u64>) -> Result<()> {
        self.asking = false;
        let Some(ours) = self.layout.clone().filter(|ours| Some(ours.version) == version) else {
            return Ok(());
        };
        if self.proposing || self.foreign.is_empty() {
            return Ok(());
        }
        if !self.involved {
            return self.give_up(&ours).await;
        }
        if !ours.is_joint() {
            let next = ours.replaced_by(vec![member_of(&self.context.info())]);
            self.propose(myself, ours, next);
        }
        Ok(())
    }
}

/// Whether nothing would be lost if this peer forgot what it keeps.
pub(crate) async fn is_empty(context: &Context) -> Result<bool> {
    let store = context.ports.store.clone();
    context.blocking(move || keeps_nothing(&*store)).await
}

/// The same of a store.
pub(super) fn keeps_nothing(store: &dyn Store) -> Result<bool> {
    for kind in RegisterKind::ALL {
        if !store.register_scan(&RegisterSpan::all(kind), None, 1)?.is_empty() {
            return Ok(false);
        }
    }
    Ok(store.chunk_list(None, 1)?.is_empty())
}

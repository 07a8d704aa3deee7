//! Whether everything is at full replication.
//!
//! ```text
//!   names, a page at a time ─▶ chunks that their manifests list
//!                                 │ ChunkHas, in batches, at the owners
//!                                 ▼
//!                              Census: copies, those missing, those lost
//!                                 │ ChunkKept, of what is missing, to those who have it
//!                                 ▼
//!                              repair, by what the buckets want now
//!   Condition, at every member ─▶ disks, bad copies, scrubs, what moves
//! ```
//!
//! What peers count themselves says how much they hold and not whether that
//! is all there should be: of a chunk without any copy nobody holds anything to
//! count. So a whole check begins at the names.

mod census;
mod members;

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use shoal_types::{
    DiskState, Health, MeshMoving, ObjectEntry, ObjectName, PeerCondition, PeerId, RegisterPlace, Result,
};

use crate::context::Context;
use crate::history::{self, FormerVersion};
use crate::{moving, names, scrub};
use census::Census;

/// Names in one step: what is in memory at a time are these, from each member.
const PAGE: u32 = 500;

/// What arrives while the mesh is looked at; the report comes last.
#[derive(Debug, Clone)]
pub enum CheckupUpdate {
    /// Names and chunks looked at so far.
    Progress {
        names: u64,
        chunks: u64,
    },
    Report(Box<Checkup>),
}

/// What a look at the whole mesh came to.
///
/// A copy counts when its holder says that it has it: whether its bytes are
/// still right only reading tells (a scrub).
#[derive(Debug, Clone, Default)]
pub struct Checkup {
    /// Whether only peers' own counts were asked for: then what names refer
    /// to is unknown, and `lost` is 0.
    pub is_quick: bool,
    /// Copies that each chunk is to have: R, or as many as there are members.
    pub wanted: u64,
    pub names: u64,
    /// The bytes of all objects, a chunk of several names counted at each.
    pub object_bytes: u64,
    /// What names stood for before, and can still be read.
    pub versions: u64,
    /// Chunks that manifests list, each once; see `is_exact`.
    pub chunks: u64,
    /// Copies of those that are there, as many as are wanted at most.
    pub copies: u64,
    pub copies_missing: u64,
    pub bytes_missing: u64,
    /// Chunks that no member which answers has.
    pub chunks_lost: u64,
    /// Objects that cannot be read whole because of that, and the first of them.
    pub objects_lost: u64,
    pub lost: Vec<ObjectName>,
    /// `false` where there are so many chunks that one of several names may be
    /// counted twice.
    pub is_exact: bool,
    /// Whether data is on its way from the members of an older layout.
    pub is_joint: bool,
    /// By name.
    pub members: Vec<MemberCheck>,
    pub moving: Option<MeshMoving>,
}

/// What is known of a member.
#[derive(Debug, Clone)]
pub struct MemberCheck {
    pub id: PeerId,
    pub name: String,
    pub health: Health,
    /// `None` while it is away or did not answer, be it what it has.
    pub condition: Option<PeerCondition>,
    /// Copies that belong there, are not there, and are nowhere else in its place.
    pub copies_missing: u64,
    pub bytes_missing: u64,
}

impl MemberCheck {
    pub fn is_away(&self) -> bool {
        matches!(self.health, Health::Dead | Health::Suspected) || self.condition.is_none()
    }
}

impl Checkup {
    /// Whether everything has all of its copies, on members that are there and
    /// whose disks work: names too, which have no stand-ins.
    pub fn is_full(&self) -> bool {
        let is_well = |member: &MemberCheck| {
            let disk = member.condition.as_ref().map(|condition| &condition.disk);
            !member.is_away() && disk.is_some_and(DiskState::takes_names)
        };
        let is_moving = self.is_quick && self.moving.is_some_and(|moving| moving.all.copies_missing > 0);
        self.copies_missing == 0
            && self.chunks_lost == 0
            && !self.is_joint
            && !is_moving
            && self.members.iter().all(is_well)
    }
}

/// How this peer's disk is, and the copies on it.
pub(crate) async fn condition(context: &Arc<Context>) -> Result<PeerCondition> {
    let store = context.ports.store.clone();
    let (usage, disk) = context.blocking(move || Ok((store.usage(), store.disk()))).await?;
    // A disk that cannot be asked says so by its state.
    let usage = usage.unwrap_or_default();
    Ok(PeerCondition {
        disk,
        chunks: usage.chunks,
        chunk_bytes: usage.chunk_bytes,
        free_bytes: usage.free_bytes,
        bad_copies: usage.bad_copies,
        last_scrub: scrub::last(context).await.unwrap_or_default(),
        moving: moving::here(context),
    })
}

/// Looks at the whole mesh.
pub(crate) fn checkup(context: &Arc<Context>, is_quick: bool) -> BoxStream<'static, Result<CheckupUpdate>> {
    let step = if is_quick { Step::Members } else { Step::Names(None) };
    let look = Look { context: context.clone(), is_quick, census: Census::default() };
    stream::unfold(Some((look, step)), |state| async {
        let (look, step) = state?;
        let (update, next) = look.step(step).await;
        Some((update, next))
    })
    .boxed()
}

struct Look {
    context: Arc<Context>,
    is_quick: bool,
    census: Census,
}

enum Step {
    /// The names after this one.
    Names(Option<String>),
    /// What names stood for before, after this one.
    Versions(Option<RegisterPlace>),
    Members,
}

/// What to say after a step, and what to do next.
type Stepped = (Result<CheckupUpdate>, Option<(Look, Step)>);

impl Look {
    fn step(mut self, step: Step) -> BoxFuture<'static, Stepped> {
        async move {
            let stepped = match step {
                Step::Names(after) => self.names(after).await.map(|(update, next)| (update, Some(next))),
                Step::Versions(after) => self.versions(after).await.map(|(update, next)| (update, Some(next))),
                Step::Members => self.members().await.map(|report| (report, None)),
            };
            match stepped {
                Ok((update, next)) => (Ok(update), next.map(|next| (self, next))),
                Err(error) => (Err(error), None),
            }
        }
        .boxed()
    }

    async fn names(&mut self, after: Option<String>) -> Result<(CheckupUpdate, Step)> {
        let (page, more) = names::list(&self.context, "", after.as_deref(), PAGE).await?;
        let last = page.last().map(|entry| entry.name.to_string());
        census::page(&self.context, &mut self.census, page, false).await?;
        let next = last.filter(|_| more).map_or(Step::Versions(None), |last| Step::Names(Some(last)));
        Ok((self.progress(), next))
    }

    async fn versions(&mut self, after: Option<RegisterPlace>) -> Result<(CheckupUpdate, Step)> {
        let (page, more) = history::list(&self.context, "", after, PAGE).await?;
        let last = page.last().map(|version| version.place.clone());
        let page = page.into_iter().map(|FormerVersion { name, manifest, .. }| ObjectEntry { name, manifest });
        census::page(&self.context, &mut self.census, page.collect(), true).await?;
        let next = last.filter(|_| more).map_or(Step::Members, |last| Step::Versions(Some(last)));
        Ok((self.progress(), next))
    }

    fn progress(&self) -> CheckupUpdate {
        CheckupUpdate::Progress { names: self.census.names, chunks: self.census.chunks }
    }

    async fn members(&self) -> Result<CheckupUpdate> {
        let report = members::report(&self.context, self.is_quick, &self.census).await?;
        Ok(CheckupUpdate::Report(Box::new(report)))
    }
}

#[cfg(test)]
mod tests;

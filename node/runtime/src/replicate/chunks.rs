//! One walk through the chunks here: which are whose, who lacks them, and off
//! they go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::{StreamExt, TryStreamExt, stream};
use shoal_placement::Owners;
use shoal_types::{ChunkId, Copies, PeerId, Request, Response, Result};

use super::away::Absent;
use super::bringer::bringer;
use super::differing::Differing;
use super::is_of_a_disk;
use super::moved::Moved;
use super::pass::Scope;
use super::passed_over::PassedOver;
use super::yielding::Move;
use crate::chunks::{self, Cause};
use crate::context::Context;
use crate::members::{MemberEntry, MemberTable};
use crate::placed::Placed;
use crate::planted::Planted;
use crate::{serve, surplus};

/// Chunks on their way at once: repair stays behind foreground work.
const CHUNKS_AT_ONCE: usize = 2;

/// Chunks looked at in one step.
const PAGE: usize = 1_000;

/// Ticks between two questions whether others bring what is theirs to bring,
/// until one has brought nothing for as long as all of these.
const OTHERS_WAIT_TICKS: [u32; 3] = [5, 10, 20];

/// Before a copy of so many bytes is sent its owner is asked again whether it
/// lacks it: below, the question costs as much as the chunk.
const ASKED_BYTES_MIN: u64 = 64 << 10;

/// What a walk looks for.
pub(super) struct Walk<'a> {
    context: &'a Arc<Context>,
    layout: &'a Placed,
    absent: &'a Absent,
    /// Who was absent when all of this had its owners last.
    before: Option<&'a Absent>,
    moved: Option<Moved<'a>>,
    /// Only that which is not the same elsewhere.
    differing: Option<&'a Differing>,
    passed_over: &'a PassedOver,
    /// Only that which this peer is the bringer of.
    mine: bool,
    /// Whether others take what no owner within reach does, and bring it on.
    /// At rest they let go of it again once its owners have it, so that each
    /// further walk would bring it to them anew.
    detours: bool,
    may_end: bool,
    /// Whether it waits for others to bring what is theirs to bring.
    is_patient: AtomicBool,
}

/// Which walk of a pass, and of which pass.
#[derive(Clone, Copy)]
pub(super) struct Which {
    /// Only through that which this peer is the bringer of.
    pub(super) mine: bool,
    /// No pass has succeeded under the layout with the same members gone.
    pub(super) is_new: bool,
    /// Whether it ends when somebody goes meanwhile.
    pub(super) may_end: bool,
}

/// Chunks of a page, by whom they are to be asked for.
#[derive(Default)]
struct Wanted {
    by_owner: BTreeMap<PeerId, Vec<(ChunkId, Copies)>>,
    looked_at: u64,
}

/// A copy that an owner lacks.
struct Missing {
    owner: PeerId,
    chunk: ChunkId,
    copies: Copies,
    bytes: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        context: &'a Arc<Context>,
        layout: &'a Placed,
        absent: &'a Absent,
        scope: Scope<'a>,
        differing: Option<&'a Differing>,
        passed_over: &'a PassedOver,
        walk: Which,
    ) -> Self {
        let Which { mine, is_new, may_end } = walk;
        let detours = !mine && (is_new || layout.is_joint() || !layout.involves(context.me));
        let before = match scope {
            Scope::Since(before) => Some(before),
            Scope::Everything | Scope::Differing { .. } => None,
        };
        let moved = before.map(|before| Moved::of(layout, absent, before, layout.number(Copies::DEFAULT)));
        let is_alone = matches!(scope, Scope::Differing { back } if back.is_empty());
        let is_patient = AtomicBool::new(!mine && !is_alone);
        Self { context, layout, absent, before, moved, differing, passed_over, mine, detours, may_end, is_patient }
    }

    /// Brings chunks to those who own them. What an owner does not take, or the
    /// disk here does not give, is passed over.
    pub(super) async fn run(&self) -> Result<()> {
        let mut after = None;
        loop {
            let store = self.context.ports.store.clone();
            let (page, held) = self
                .context
                .blocking(move || {
                    // How many there are is good to know, and nothing depends on it.
                    let held = store.usage().map_or(0, |usage| usage.chunks);
                    Ok((surplus::with_copies(&*store, after, PAGE)?, held))
                })
                .await?;
            let Some((last, _)) = page.last().copied() else {
                return Ok(());
            };
            after = Some(last);
            self.require_present()?;
            let wanted = self.wanted(&page);
            let missing = self.missing(wanted.by_owner).await?;
            let missing = self.left_by_others(missing).await?;
            self.context.progress.note(|moving| {
                moving.chunks_looked_at += wanted.looked_at;
                moving.chunks_held = held.max(moving.chunks_looked_at);
                moving.copies_missing += missing.len() as u64;
                moving.bytes_missing += missing.iter().map(|missing| missing.bytes).sum::<u64>();
            });
            self.bring(missing).await?;
        }
    }

    /// An error once the layout is another, or somebody has gone who keeps
    /// chunks: what it had falls to others, and a walk may take hours.
    fn require_present(&self) -> Result<()> {
        let context = self.context;
        let is_another = context.layout().is_none_or(|layout| layout.id() != self.layout.id());
        let has_gone = |table: &MemberTable| {
            let owning = self.layout.members.iter().filter(|member| member.weight > 0).map(|member| member.id);
            owning.filter(|peer| *peer != context.me).any(|peer| {
                let is_gone = table.entries.get(&peer).is_none_or(MemberEntry::is_gone);
                is_gone && !self.absent.gone.contains(&peer)
            })
        };
        match is_another || self.may_end && context.members.look(has_gone) {
            true => Err(context.not_ready("members or layout have changed, it looks again")),
            false => Ok(()),
        }
    }

    /// Those to whom a chunk of so many copies is brought: its owners, with
    /// others in the place of those who are gone, and without those who are
    /// away. Where that leaves nobody else, and detours are taken, anybody who
    /// may have a link to them.
    fn within_reach(
        &self,
        chunk: ChunkId,
        copies: Copies,
        is_gone: impl Fn(PeerId) -> bool,
        is_away: impl Fn(PeerId) -> bool,
    ) -> Vec<PeerId> {
        let replicas = self.layout.number(copies);
        let all = self.layout.owners_where(chunk, replicas, |peer| !is_gone(peer));
        let mut owners = all.clone();
        owners.retain(|owner| !is_away(*owner));
        match self.detours && owners.len() < all.len() && owners.iter().all(|owner| *owner == self.context.me) {
            true => self.layout.owners_where(chunk, replicas, |peer| !is_away(peer)),
            false => owners,
        }
    }

    /// The same, given who is absent.
    fn owners(&self, chunk: ChunkId, copies: Copies, absent: &Absent) -> Vec<PeerId> {
        self.within_reach(chunk, copies, |peer| absent.gone.contains(&peer), |peer| absent.peers.contains(&peer))
    }

    /// Which chunks of a page who is to be asked for.
    fn wanted(&self, page: &[(ChunkId, Copies)]) -> Wanted {
        let mut wanted = Wanted::default();
        let is_at_rest = self.absent.is_nobody() && !self.layout.is_joint();
        for (chunk, copies) in page.iter().copied() {
            // What is unreferenced goes everywhere, and not at the same moment.
            let is_spared = copies == Copies::DEFAULT && self.moved.as_ref().is_some_and(|moved| moved.spares(chunk));
            let is_doubted =
                || self.context.has_planted(Planted::PassesOverUnlisted) && self.context.surplus.is_unlisted(chunk);
            if is_spared || self.context.surplus.is_unreferenced(chunk) || is_doubted() {
                wanted.looked_at += u64::from(self.mine);
                continue;
            }
            let owners = self.owners(chunk, copies, self.absent);
            // Each counts once, though its bringer looks at it twice.
            let is_first = owners.first() == Some(&self.context.me);
            wanted.looked_at += u64::from(is_first == self.mine);
            if self.before.is_some_and(|before| self.owners(chunk, copies, before) == owners) {
                continue;
            }
            let differing = self.differing.filter(|_| owners.contains(&self.context.me));
            let holders = match self.mine {
                // At rest those whom it has now are those whom it had before.
                true if is_at_rest => Some(Owners { current: owners.clone(), previous: None }),
                true => Some(self.layout.owners_of(chunk, copies)),
                false => None,
            };
            let is_wanted = |lacking: PeerId| {
                holders.as_ref().is_none_or(|holders| {
                    bringer(holders, &owners, &self.absent.gone, lacking) == Some(self.context.me)
                })
            };
            let others = owners.iter().copied().filter(|owner| *owner != self.context.me && is_wanted(*owner));
            for owner in others.filter(|owner| differing.is_none_or(|differing| differing.has(*owner, chunk))) {
                wanted.by_owner.entry(owner).or_default().push((chunk, copies));
            }
        }
        wanted
    }

    /// What owners say that they lack of it.
    async fn missing(&self, wanted: BTreeMap<PeerId, Vec<(ChunkId, Copies)>>) -> Result<Vec<Missing>> {
        let mut missing = Vec::new();
        for (owner, chunks) in wanted {
            for asked in chunks.chunks(serve::HAS_MAX) {
                if !self.passed_over.answers(owner) {
                    break;
                }
                match self.kept(owner, asked.to_vec()).await {
                    Ok(kept) => {
                        let lacks = asked.iter().zip(kept).filter(|(_, kept)| !kept);
                        missing.extend(lacks.map(|((chunk, copies), _)| (owner, *chunk, *copies)));
                    }
                    Err(error) => {
                        tracing::info!(%error, owner = %owner.short(), "it does not say which chunks it has");
                        self.passed_over.note(owner, 0, error);
                    }
                }
            }
        }
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let store = self.context.ports.store.clone();
        let sized = move |(owner, chunk, copies)| {
            Ok(Missing { owner, chunk, copies, bytes: u64::from(store.chunk_len(chunk)?.unwrap_or(0)) })
        };
        self.context.blocking(move || missing.into_iter().map(sized).collect()).await
    }

    /// What stays missing once those who are to bring it do so no more. They
    /// begin when this peer does, where something has happened that all have
    /// seen: each copy would be brought by all who have one.
    async fn left_by_others(&self, mut missing: Vec<Missing>) -> Result<Vec<Missing>> {
        let mut waits = OTHERS_WAIT_TICKS.iter();
        while self.is_patient.load(Ordering::Relaxed) && !missing.is_empty() {
            let Some(ticks) = waits.next() else {
                // They do not come for others of this pass, either.
                self.is_patient.store(false, Ordering::Relaxed);
                break;
            };
            self.context.ports.clock.sleep(self.context.config.timing.tick * *ticks).await;
            self.require_present()?;
            let mut wanted: BTreeMap<PeerId, Vec<(ChunkId, Copies)>> = BTreeMap::new();
            for Missing { owner, chunk, copies, .. } in &missing {
                wanted.entry(*owner).or_default().push((*chunk, *copies));
            }
            let left = self.missing(wanted).await?;
            if left.len() < missing.len() {
                waits = OTHERS_WAIT_TICKS.iter();
            }
            missing = left;
        }
        Ok(missing)
    }

    /// Which of so many chunks an owner keeps.
    async fn kept(&self, owner: PeerId, chunks: Vec<(ChunkId, Copies)>) -> Result<Vec<bool>> {
        let count = chunks.len();
        match self.context.call(owner, Request::ChunkKept { chunks }).await? {
            Response::Has(has) if has.len() == count => Ok(has),
            _ => Err(self.context.unexpected("which chunks it has")),
        }
    }

    async fn bring(&self, missing: Vec<Missing>) -> Result<()> {
        let brought = stream::iter(missing).map(|missing| self.bring_one(missing));
        brought.buffer_unordered(CHUNKS_AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await
    }

    async fn bring_one(&self, missing: Missing) -> Result<()> {
        let (context, Missing { owner, chunk, copies, bytes: length }) = (self.context, missing);
        // Those whom it was to stand in for may have come back: a peer that
        // has just started hears of them one after the other.
        let owners = context.members.look(|table| {
            let is_gone = |peer| peer != context.me && table.entries.get(&peer).is_none_or(MemberEntry::is_gone);
            let is_away = |peer| peer != context.me && !table.is_live(peer);
            self.within_reach(chunk, copies, is_gone, is_away)
        });
        if context.is_live(owner) && !owners.contains(&owner) {
            return Err(context.not_ready("members came back, it looks again"));
        }
        if !self.passed_over.takes(owner, length) {
            self.leave(length);
            return Ok(());
        }
        let store = context.ports.store.clone();
        // One that is found to be broken another holder brings, to us as well.
        let moving = Move::bring(context).await?;
        // Since the page was asked for another may have brought it.
        if length >= ASKED_BYTES_MIN {
            match self.kept(owner, vec![(chunk, copies)]).await.as_deref() {
                Ok([true]) => {
                    context.progress.note(|moving| moving.settle(length, false));
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) => {
                    self.passed_over.note(owner, length, error.clone());
                    self.leave(length);
                    return Ok(());
                }
            }
        }
        let bytes = match context.blocking(move || store.chunk_get(chunk, None)).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                context.progress.note(|moving| moving.settle(length, false));
                return Ok(());
            }
            Err(error) if is_of_a_disk(&error) => {
                tracing::info!(%error, "the disk here does not give a copy");
                self.passed_over.remember(error);
                self.leave(length);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        tracing::info!(chunk = %chunk.short(), to = %owner.short(), "brings a copy");
        let sent = chunks::send(context, owner, chunk, bytes, copies, Cause::Repair).await;
        moving.rest().await;
        match sent {
            Ok(()) => context.progress.note(|moving| moving.settle(length, true)),
            Err(error) => {
                tracing::info!(%error, owner = %owner.short(), "it does not take a copy");
                self.passed_over.note(owner, length, error);
                self.leave(length);
            }
        }
        Ok(())
    }

    /// A copy of so many bytes stays missing.
    fn leave(&self, length: u64) {
        if self.mine {
            // It is found missing again when all chunks are looked at.
            self.context.progress.note(|moving| moving.settle(length, false));
        }
    }
}

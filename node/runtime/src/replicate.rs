//! Bringing what this peer holds to those who own it.
//!
//! One pass looks at every register and every chunk here, and makes sure that
//! its owners have it. It runs when the layout is joint, before the old owners
//! are let go; when a peer comes or goes; and every so often, so that nothing
//! stays short of copies.

pub(crate) mod yielding;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::select;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_placement::{Owners, PlacementKey, is_beyond, most_owners_among};
use shoal_types::{
    ChunkId, Copies, Error, Layout, LayoutId, Member, PeerId, RegisterKind, RegisterSpan, Request, Response, Result,
};

use crate::chunks::Cause;
use crate::context::{Context, lock};
use crate::members::{MemberEntry, MemberTable};
use crate::placed::Placed;
use crate::planted::Planted;
use crate::{chunks, names, serve, surplus};
use yielding::Move;

/// Registers settled at once.
const REGISTERS_AT_ONCE: usize = 16;

/// Chunks on their way at once: repair stays behind foreground work.
const CHUNKS_AT_ONCE: usize = 2;

/// Members asked at once whether they have brought over what they hold.
const ASKED_AT_ONCE: usize = 16;

/// Members that come and go at once, at most, for it to pay to look whether a
/// chunk was or is theirs before its owners are found.
const MOVED_MAX: usize = 32;

/// Ticks between two looks under a settled layout: where many come or go at
/// once, one pass is for several of them.
const LOOK_TICKS: u32 = 5;

/// How long to wait with what a disk refused, at most: it is as full or as
/// broken a moment later.
const REFUSED_WAIT: Duration = Duration::from_secs(10);

/// Registers and chunks looked at in one step.
const PAGE: usize = 1_000;

/// What a pass that succeeded looked at.
struct Done {
    layout: LayoutId,
    /// Members to whom nothing could be brought.
    away: BTreeSet<PeerId>,
}

/// Members to whom nothing can be brought, kept up to date.
struct Away {
    layout: Arc<Placed>,
    /// Changes of the table of members that are in it.
    seen: u64,
    peers: BTreeSet<PeerId>,
}

impl Away {
    /// Who is away now, given who was `before`: in a large mesh nearly
    /// everyone is as before.
    fn after(before: Option<Self>, context: &Context, layout: &Arc<Placed>) -> Self {
        context.members.look(|table| {
            let seen = table.changes.count();
            if let Some(before) = before.filter(|before| Arc::ptr_eq(&before.layout, layout))
                && let Some(changed) = table.changes.since(before.seen)
            {
                let mut away = Self { seen, ..before };
                for peer in changed.filter(|peer| layout.involves(*peer) && *peer != context.me) {
                    if table.is_live(peer) {
                        away.peers.remove(&peer);
                    } else {
                        away.peers.insert(peer);
                    }
                }
                return away;
            }
            Self { layout: layout.clone(), seen, peers: away(table, context.me, layout) }
        })
    }
}

/// Runs passes for as long as the peer lives: it looks whether one is needed
/// whenever members or layout have changed, and when one is due.
pub(crate) async fn run(context: Arc<Context>) {
    let (clock, timing) = (context.ports.clock.clone(), context.config.timing.clone());
    let mut done: Option<Done> = None;
    let mut due = Duration::ZERO;
    let mut kept = None;
    loop {
        let seen = (context.members.version(), context.layout.version());
        let (mut next, mut is_over) = (due, true);
        if let Some(layout) = context.layout().filter(|layout| layout.involves(context.me)) {
            let present = Away::after(kept.take(), &context, &layout);
            let away = &kept.insert(present).peers;
            let is_due = clock.now() >= due;
            let fits = done.as_ref().filter(|done| done.layout == layout.id() && !is_due);
            if fits.is_none_or(|done| done.away != *away) {
                let skips = done.is_some() && context.has_planted(Planted::SkipsRepair);
                match if skips { Ok(()) } else { pass(&context, &layout, away, fits).await } {
                    Ok(()) => {
                        *lock(&context.synced) = Some((layout.id(), away.iter().copied().collect()));
                        if fits.is_none() {
                            due = clock.now() + timing.repair_interval;
                        }
                        done = Some(Done { layout: layout.id(), away: away.clone() });
                        next = due;
                    }
                    Err(error) => {
                        tracing::info!(%error, "not everything is where it belongs yet");
                        let wait = match is_of_a_disk(&error) {
                            true => timing.repair_interval.min(REFUSED_WAIT),
                            false => Duration::ZERO,
                        };
                        (next, is_over) = (clock.now() + wait, false);
                    }
                }
            }
        } else {
            next = clock.now() + timing.repair_interval;
        }
        if is_over {
            context.progress.end();
        }
        // Many changes come at once; only a joint layout waits for this peer.
        clock.sleep(timing.tick).await;
        if context.layout.version() == seen.1 && context.layout().is_some_and(|layout| !layout.is_joint()) {
            let layout = std::pin::pin!(context.layout.after(seen.1));
            select(layout, clock.sleep(timing.tick * (LOOK_TICKS - 1))).await;
        }
        let changed = std::pin::pin!(async {
            let members = std::pin::pin!(context.members.after(seen.0));
            let layout = std::pin::pin!(context.layout.after(seen.1));
            select(members, layout).await;
        });
        let wait = next.saturating_sub(clock.now());
        if !wait.is_zero() {
            select(changed, clock.sleep(wait)).await;
        }
    }
}

/// Members to whom nothing can be brought now.
pub(crate) fn away(table: &MemberTable, me: PeerId, layout: &Layout) -> BTreeSet<PeerId> {
    let known = layout.groups().flat_map(|group| table.beside(group));
    let away = known.filter(|(member, entry)| member.id != me && !entry.is_some_and(MemberEntry::is_live));
    away.map(|(member, _)| member.id).collect()
}

/// Members of a layout who have gone or come back since an earlier pass under it.
struct Moved<'a> {
    members: Vec<&'a Member>,
    layout: &'a Layout,
    away: [&'a BTreeSet<PeerId>; 2],
    /// In how many zones there may be members; no more than replicas are counted.
    zones: usize,
    replicas: usize,
}

impl<'a> Moved<'a> {
    fn of(layout: &'a Layout, away: &'a BTreeSet<PeerId>, before: &'a BTreeSet<PeerId>, replicas: usize) -> Self {
        let members = away.symmetric_difference(before).filter_map(|peer| layout.member(*peer)).collect();
        let mut zones: Vec<&str> = Vec::with_capacity(replicas);
        for member in &layout.members {
            if zones.len() >= replicas {
                break;
            }
            if !zones.contains(&member.zone.as_str()) {
                zones.push(&member.zone);
            }
        }
        Self { members, layout, away: [away, before], zones: zones.len(), replicas }
    }

    /// Whether a chunk certainly has the owners that it had: whoever has moved
    /// is none of them, and was none. `false` where that is not clear.
    fn spares(&self, chunk: ChunkId) -> bool {
        let key = PlacementKey::of_chunk(chunk);
        let has_stayed = |member: &&Member| !self.away.iter().any(|away| away.contains(&member.id));
        let is_beyond = |member: &&Member| {
            let steady = self.layout.members.iter().filter(has_stayed);
            is_beyond(key, member, steady, self.zones, self.replicas)
        };
        self.members.len() <= MOVED_MAX && self.members.iter().all(is_beyond)
    }
}

/// Brings everything to its owners. After a pass under the same layout
/// (`before`) only that which has other living owners since.
async fn pass(context: &Arc<Context>, layout: &Placed, away: &BTreeSet<PeerId>, before: Option<&Done>) -> Result<()> {
    context.progress.begin(layout, context.ports.clock.now());
    if layout.is_joint() {
        registers(context).await?;
    }
    // First what this peer is the bringer of; then, should another have failed
    // to, everything that it holds.
    let mut refused = None;
    for mine in [true, false] {
        let refusal = chunks(context, layout, away, before, mine).await?;
        refused = refused.or(refusal);
    }
    refused.map_or(Ok(()), Err)
}

/// Whether one disk is at fault, and others may go on.
fn is_of_a_disk(error: &Error) -> bool {
    matches!(error, Error::DiskFull { .. } | Error::DiskFailed { .. })
}

/// An identity round for every register that is known here: what was agreed
/// among the old owners is from then on known to a majority of the new.
async fn registers(context: &Arc<Context>) -> Result<()> {
    for kind in RegisterKind::ALL {
        let (span, mut after) = (RegisterSpan::all(kind), None);
        loop {
            let (store, span, from) = (context.ports.store.clone(), span.clone(), after.take());
            let page = context.blocking(move || store.register_scan(&span, from.as_ref(), PAGE)).await?;
            let Some(last) = page.last().and_then(|entry| entry.key.place()) else {
                break;
            };
            context.progress.note(|moving| moving.names_seen += page.len() as u64);
            let mut rounds = stream::iter(page)
                .map(|entry| async move { names::settle(context, &entry.key).await })
                .buffer_unordered(REGISTERS_AT_ONCE);
            while let Some(outcome) = rounds.next().await {
                outcome?;
                context.progress.note(|moving| moving.names_settled += 1);
            }
            after = Some(last);
        }
    }
    Ok(())
}

/// Who brings a chunk to those of its `living` owners who lack it: the first
/// who is there of those who should have had it before. The first of the living
/// ones may be one who has just become an owner; all others would find that it
/// lacks the chunk, and each bring it.
fn bringer(owners: &Owners, living: &[PeerId], away: &BTreeSet<PeerId>) -> Option<PeerId> {
    let holders = owners.previous.as_ref().unwrap_or(&owners.current);
    holders.iter().find(|peer| !away.contains(peer)).or(living.first()).copied()
}

/// Brings chunks to those who own them. What a disk refuses to give or to take
/// is passed over, so that one full disk keeps nobody else from being
/// repaired; the first refusal comes back once all others have theirs.
async fn chunks(
    context: &Arc<Context>,
    layout: &Placed,
    away: &BTreeSet<PeerId>,
    before: Option<&Done>,
    mine: bool,
) -> Result<Option<Error>> {
    let replicas = context.config.replicas as usize;
    let living_owners = |(chunk, copies): (ChunkId, Copies), is_live: &dyn Fn(PeerId) -> bool| {
        layout.owners_where(chunk, layout.number(copies), is_live)
    };
    let moved = before.map(|done| Moved::of(layout, away, &done.away, replicas));
    let (mut after, mut refused) = (None, None);
    loop {
        let store = context.ports.store.clone();
        let (page, held) = context
            .blocking(move || {
                // How many there are is good to know, and nothing depends on it.
                let held = store.usage().map_or(0, |usage| usage.chunks);
                Ok((surplus::with_copies(&*store, after, PAGE)?, held))
            })
            .await?;
        let Some((last, _)) = page.last().copied() else {
            return Ok(refused);
        };
        after = Some(last);
        let copies: BTreeMap<ChunkId, Copies> = page.iter().copied().collect();
        let mut wanted: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
        let mut looked_at = 0;
        for (chunk, copies) in page {
            // It goes everywhere, and not at the same moment.
            if context.surplus.is_unreferenced(chunk) {
                looked_at += u64::from(mine);
                continue;
            }
            if copies == Copies::DEFAULT && moved.as_ref().is_some_and(|moved| moved.spares(chunk)) {
                looked_at += u64::from(mine);
                continue;
            }
            let owners = living_owners((chunk, copies), &|peer| !away.contains(&peer));
            let is_at_rest = away.is_empty() && !layout.is_joint();
            let bringer = match is_at_rest {
                true => owners.first().copied(),
                false => bringer(&layout.owners_of(chunk, copies), &owners, away),
            };
            let is_mine = bringer == Some(context.me);
            // Each counts once, though its bringer looks at it twice.
            looked_at += u64::from(is_mine == mine);
            if mine && !is_mine {
                continue;
            }
            if before.is_some_and(|done| living_owners((chunk, copies), &|peer| !done.away.contains(&peer)) == owners) {
                continue;
            }
            for owner in owners.into_iter().filter(|owner| *owner != context.me) {
                wanted.entry(owner).or_default().push(chunk);
            }
        }
        let mut missing = Vec::new();
        for (owner, chunks) in wanted {
            for asked in chunks.chunks(serve::HAS_MAX) {
                let request = Request::ChunkHas { chunks: asked.to_vec() };
                match context.call(owner, request).await? {
                    Response::Has(has) if has.len() == asked.len() => {
                        let lacks = asked.iter().zip(has).filter(|(_, has)| !has);
                        missing.extend(lacks.map(|(chunk, _)| (owner, *chunk)));
                    }
                    _ => return Err(context.unexpected("which chunks it has")),
                }
            }
        }
        let store = context.ports.store.clone();
        let sized = move |(owner, chunk)| {
            let copies = copies.get(&chunk).copied().unwrap_or_default();
            Ok((owner, (chunk, copies), u64::from(store.chunk_len(chunk)?.unwrap_or(0))))
        };
        let missing: Vec<(PeerId, (ChunkId, Copies), u64)> = match missing.is_empty() {
            true => Vec::new(),
            false => context.blocking(move || missing.into_iter().map(sized).collect()).await?,
        };
        context.progress.note(|moving| {
            moving.chunks_looked_at += looked_at;
            moving.chunks_held = held.max(moving.chunks_looked_at);
            moving.copies_missing += missing.len() as u64;
            moving.bytes_missing += missing.iter().map(|(_, _, bytes)| bytes).sum::<u64>();
        });
        let mut sent = stream::iter(missing)
            .map(|(owner, (chunk, copies), length)| async move {
                // Those whom it was to stand in for may have come back: a peer
                // that has just started links to them one after the other.
                let live = context.members.look(|table| {
                    let is_live = |peer| peer == context.me || table.is_live(peer);
                    living_owners((chunk, copies), &is_live)
                });
                if context.is_live(owner) && !live.contains(&owner) {
                    return Err(context.not_ready("members came back, it looks again"));
                }
                let store = context.ports.store.clone();
                // One that is found to be broken another holder brings, to us as well.
                let moving = Move::bring(context).await;
                let found = context.blocking(move || store.chunk_get(chunk, None)).await?;
                let is_here = found.is_some();
                if let Some(bytes) = found {
                    tracing::info!(chunk = %chunk.short(), to = %owner.short(), "brings a copy");
                    let sent = chunks::send(context, owner, chunk, bytes, copies, Cause::Repair).await;
                    moving.rest().await;
                    if mine && sent.as_ref().is_err_and(is_of_a_disk) {
                        // It is found missing again when all chunks are looked at.
                        context.progress.note(|moving| moving.settle(length, false));
                    }
                    sent?;
                }
                context.progress.note(|moving| moving.settle(length, is_here));
                Ok(())
            })
            .buffer_unordered(CHUNKS_AT_ONCE);
        while let Some(result) = sent.next().await {
            match result {
                Err(error) if is_of_a_disk(&error) => {
                    tracing::info!(%error, "a disk refuses a copy");
                    refused.get_or_insert(error);
                }
                result => result?,
            }
        }
    }
}

/// Whether the old owners of a joint layout may be let go: every live member
/// has brought over all that it holds, to everyone who is live now, and those
/// who are away are so few, or in so few zones, that no name was known to them alone.
///
/// Who has gone over to another mesh, and is `elsewhere`, keeps nothing of
/// this one. Who was not ready when asked last, `unready`, is asked first.
pub(crate) async fn may_settle(
    context: &Arc<Context>,
    layout: &Layout,
    elsewhere: &BTreeSet<PeerId>,
    unready: Option<PeerId>,
) -> Result<()> {
    if context.has_planted(Planted::SettleTooEarly) {
        return Ok(());
    }
    let mut away = context.members.look(|table| away(table, context.me, layout));
    away.extend(elsewhere);
    for group in layout.groups() {
        let acceptors = context.config.register_owners().min(group.len());
        let tolerated = acceptors.saturating_sub(1) / 2;
        let missing = most_owners_among(group, acceptors, |member| away.contains(&member.id));
        if missing > tolerated {
            return Err(Error::NoQuorum {
                what: format!("some names, before letting go of layout {}", layout.version),
                answered: (acceptors - missing) as u32,
                needed: (acceptors - tolerated) as u32,
            });
        }
    }
    let first = unready.filter(|peer| layout.involves(*peer));
    let others = layout.everyone().into_iter().filter(|peer| Some(*peer) != first);
    let asked: Vec<PeerId> = first.into_iter().chain(others).filter(|peer| !away.contains(peer)).collect();
    let answers = stream::iter(asked).map(|peer| has_synced(context, peer, layout.id(), &away));
    answers.buffered(ASKED_AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await
}

/// Whether a peer has brought over all that it holds, to everyone but those who are away.
async fn has_synced(context: &Arc<Context>, peer: PeerId, layout: LayoutId, away: &BTreeSet<PeerId>) -> Result<()> {
    match context.call(peer, Request::LayoutSynced(layout)).await? {
        Response::Synced(Some(missed)) if missed.iter().all(|peer| away.contains(peer)) => Ok(()),
        Response::Synced(_) => Err(Error::NotReady { peer, why: "it is still bringing over what it holds".into() }),
        _ => Err(context.unexpected("whether it has brought everything over")),
    }
}

#[cfg(test)]
mod tests {
    use shoal_placement::Group;

    use super::*;

    const REPLICAS: usize = 3;

    fn member(n: u8) -> Member {
        let id = PeerId::from_bytes([n; 32]);
        Member { id, name: n.to_string(), zone: format!("zone-{}", n % 4), weight: 100, revision: 0, since: 0 }
    }

    /// Of many chunks who brings them, by whether that one had a copy before.
    fn bringers(before: &[Member], now: &[Member], dead: &[PeerId]) -> (BTreeMap<PeerId, usize>, usize) {
        let (before, now) = (Group::new(before), Group::new(now));
        let away = dead.iter().copied().collect();
        let (mut brought, mut strangers) = (BTreeMap::new(), 0);
        for key in 0..4_000u64 {
            let key = PlacementKey::of_chunk(ChunkId::of(&key.to_le_bytes()));
            let (had, current) = (before.owners(key, REPLICAS), now.owners(key, REPLICAS));
            let living = now.owners_where(key, REPLICAS, |peer| !dead.contains(&peer));
            if living.iter().all(|owner| had.contains(owner)) {
                continue;
            }
            let previous = (had != current).then(|| had.clone());
            let bringer = bringer(&Owners { current, previous }, &living, &away).unwrap();
            assert!(!dead.contains(&bringer));
            strangers += usize::from(!had.contains(&bringer));
            *brought.entry(bringer).or_default() += 1;
        }
        (brought, strangers)
    }

    fn check_even(brought: &BTreeMap<PeerId, usize>, count: usize) {
        assert_eq!(brought.len(), count, "{brought:?}");
        let (least, most) = (brought.values().min().unwrap(), brought.values().max().unwrap());
        // Those of its own zone seldom have what it is to have.
        assert!(most < &(least * 5), "{brought:?}");
    }

    #[test]
    fn what_a_dead_peer_had_is_brought_by_all_others_alike_who_have_it() {
        let members: Vec<Member> = (0..12).map(member).collect();
        let (brought, strangers) = bringers(&members, &members, &[members[5].id]);
        assert_eq!(strangers, 0);
        // Of three zones there are nine; the other two are of its own.
        check_even(&brought, 9);
    }

    #[test]
    fn a_newcomer_brings_nothing_to_itself_and_is_brought_to_by_all_alike() {
        let members: Vec<Member> = (0..13).map(member).collect();
        let (brought, strangers) = bringers(&members[..12], &members, &[]);
        assert_eq!(strangers, 0);
        check_even(&brought, 12);
    }
}

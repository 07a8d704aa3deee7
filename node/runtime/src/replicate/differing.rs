//! What is missing somewhere is found without asking for everything.
//!
//! ```text
//!   A                                         B, an owner of some of the same chunks
//!     |  walk: sums over what is here
//!     |--- ChunkSums(all, total) --------------->|  nothing, where its own come to that;
//!     |                                          |  else 256 sums, one a branch
//!     |--- ChunkSums(branch, total) ------------>|  256 sums, one a leaf, of a branch that differs
//!     |--- ChunkHas(ids) ----------------------->|  of the chunks in leaves that differ
//!     |    bring what it lacks
//! ```
//!
//! Each pair of peers has sums over the chunks of which both are owners
//! ([`Sums`]): a chunk belongs to a leaf by its first 16 bits, and adds others
//! of its bits. At the beginning of a pass a peer walks through what it holds,
//! and keeps the sums for others to ask for until the next time ([`Table`]).
//! Only chunks in leaves that differ are asked for by their ids, and so is all
//! that sums say nothing of: copies here that are others' to keep, and what is
//! shared with a partner who has no sums.
//!
//! Sums of two peers are not of one moment: these are of this pass, the
//! partner's of its own last one, which began an interval ago, or as long ago as
//! that takes ([`forget`], while not all is at rest).
//!
//! - What the partner was brought since seems to differ. That costs the ids of a leaf.
//! - What the partner has lost since seems to be there. Its own next walk shows
//!   that, and the next pass here brings it: a pass later than if it had been asked.
//! - What came here since the walk waits for the next, as it does when it comes
//!   behind the place at which a walk is.
//!
//! Nothing is lost by it, as nobody gives anything up for sums: a copy goes when
//! all owners have said, asked for its id, that they have theirs (`surplus`),
//! and old owners go when everything has been brought by ids. So all passes under
//! a joint layout, the first under a settled one, and those while somebody is
//! away do without sums.
//!
//! Who was away for a while is asked for its sums, too, once everybody is back:
//! what came here meanwhile is in those of this pass, and not in its own,
//! whenever they were made. It has none while it starts, so it is waited for.
//!
//! Owners who do not agree upon how many copies there are to be of a chunk may
//! not agree upon whose it is, and then their sums differ in its leaf for good:
//! that costs the ids of a leaf each time. Whoever makes many chunks can find
//! some whose sums cancel out: that one peer has lost all of these at once would
//! show only where they are asked for by their ids, as `shoal health` does.
//!
//! Cost, while nothing differs: the walk, which finds the owners of each chunk
//! (some 2 us), 24 bytes or so for each leaf that is shared with a partner, and
//! one small call to each. A chunk that is missing costs 2 KiB, and the ids of
//! its branch, or where there are many chunks 2 KiB more and the ids of its leaf.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use shoal_types::{ChunkId, Error, PeerId, Request, Response, Result, Sums};

use crate::compared::Table;
use crate::context::Context;
use crate::placed::Placed;
use crate::planted::Planted;
use crate::surplus;

/// Chunks looked at in one step.
const PAGE: usize = 1_000;

/// Partners compared with at once.
const PARTNERS_AT_ONCE: usize = 16;

/// Who has just come back has that many ticks to look through what it has. A
/// million chunks take some seconds; who takes longer is asked for its chunks by
/// their ids.
const BACK_TICKS: u32 = 25;

/// Ticks between two questions whether it has.
const BACK_LOOK_TICKS: u32 = 5;

/// Branches compared at once with one of them.
const BRANCHES_AT_ONCE: usize = 4;

/// Of a branch with so few leaves that have any, all chunks are asked for:
/// their ids are no more bytes than the sums.
const LEAVES_MIN: usize = 64;

/// What is to be asked for by its id.
pub(super) struct Differing {
    /// Of what is shared with these: chunks that belong to these leaves. Of
    /// what is shared with others: all.
    leaves: BTreeMap<PeerId, BTreeSet<u16>>,
    /// Whether there is anything that sums say nothing of.
    is_partial: bool,
}

impl Differing {
    /// Whether an owner is to be asked for a chunk of which this peer is an owner, too.
    pub(super) fn has(&self, owner: PeerId, chunk: ChunkId) -> bool {
        self.leaves.get(&owner).is_none_or(|leaves| leaves.contains(&leaf_of(chunk)))
    }

    /// Whether nobody is to be asked for anything.
    pub(super) fn is_nothing(&self) -> bool {
        !self.is_partial && self.leaves.values().all(BTreeSet::is_empty)
    }
}

/// Makes the sums that others are told.
pub(super) async fn publish(context: &Arc<Context>, layout: &Placed) -> Result<()> {
    let (table, _) = walk(context, layout).await?;
    context.chunks_compared.publish(table);
    Ok(())
}

/// Tells others no more of what was here some time ago.
pub(super) fn forget(context: &Context) {
    context.chunks_compared.clear();
}

/// Compares what is here with what all partners have, under a settled layout
/// of which everybody is there; where some are just `back`, all are waited for.
pub(super) async fn differing(context: &Arc<Context>, layout: &Placed, back: &BTreeSet<PeerId>) -> Result<Differing> {
    let (table, strays) = walk(context, layout).await?;
    let table = context.chunks_compared.publish(table);
    let (now, tick) = (context.ports.clock.now(), context.config.timing.tick);
    // While somebody was away nobody had sums; all make them now.
    let until = if back.is_empty() { now } else { now + tick * BACK_TICKS };
    let asked = stream::iter(table.partners()).map(|partner| {
        let ours = table.with(partner);
        async move {
            let leaves = match ours {
                Some(ours) => leaves(context, layout, partner, ours, until).await,
                None => Ok(None),
            };
            // Whoever does not answer keeps no other from being compared with.
            let leaves = leaves.unwrap_or_else(|error| {
                tracing::info!(%error, partner = %partner.short(), "it does not say its sums");
                None
            });
            (partner, leaves)
        }
    });
    let asked: Vec<(PeerId, Option<BTreeSet<u16>>)> = asked.buffer_unordered(PARTNERS_AT_ONCE).collect().await;
    let is_partial = strays > 0 || asked.iter().any(|(_, leaves)| leaves.is_none());
    let leaves = asked.into_iter().filter_map(|(partner, leaves)| Some((partner, leaves?))).collect();
    Ok(Differing { leaves, is_partial })
}

/// One walk through all chunks here: sums for all partners, and how many are
/// others' to keep.
async fn walk(context: &Arc<Context>, layout: &Placed) -> Result<(Table, u64)> {
    let (mut table, mut strays, mut after) = (Table::new(layout.id()), 0, None);
    loop {
        let store = context.ports.store.clone();
        let page = context.blocking(move || surplus::with_copies(&*store, after, PAGE)).await?;
        let Some((last, _)) = page.last().copied() else {
            return Ok((table, strays));
        };
        after = Some(last);
        for (chunk, copies) in page {
            let owners = layout.owners_of(chunk, copies).current;
            if !owners.contains(&context.me) {
                strays += u64::from(!context.surplus.is_unreferenced(chunk));
            } else if context.surplus.is_kept(chunk) {
                for partner in owners.into_iter().filter(|owner| *owner != context.me) {
                    table.add(partner, leaf_of(chunk), hash_of(chunk));
                }
            }
        }
    }
}

/// The leaves in which a partner has something else; `None` where it does not
/// say, for so long.
async fn leaves(
    context: &Arc<Context>,
    layout: &Placed,
    partner: PeerId,
    ours: &Sums,
    until: Duration,
) -> Result<Option<BTreeSet<u16>>> {
    if context.has_planted(Planted::SumsAgree) {
        return Ok(Some(BTreeSet::new()));
    }
    let clock = &context.ports.clock;
    let theirs = loop {
        match sums_of(context, layout, partner, None, ours).await {
            Ok(Some(theirs)) => break theirs,
            said if clock.now() >= until => return said.map(|_| None),
            Ok(None) | Err(_) => clock.sleep(context.config.timing.tick * BACK_LOOK_TICKS).await,
        }
    };
    let branches = stream::iter(ours.differing_branches(&theirs)).map(|branch| async move {
        // Where nothing is here there is nothing to bring.
        if ours.leaves_in(branch).count() <= LEAVES_MIN {
            return Ok::<_, Error>(Some(ours.leaves_in(branch).collect()));
        }
        let theirs = sums_of(context, layout, partner, Some(branch), ours).await?;
        Ok(theirs.map(|theirs| ours.differing_leaves(branch, &theirs)))
    });
    let branches: Vec<Option<Vec<u16>>> = branches.buffered(BRANCHES_AT_ONCE).try_collect().await?;
    let leaves: Option<Vec<Vec<u16>>> = branches.into_iter().collect();
    Ok(leaves.map(|leaves| leaves.into_iter().flatten().collect()))
}

/// A partner's sums, or nothing where they are the same as ours; `None` where
/// it has none.
async fn sums_of(
    context: &Arc<Context>,
    layout: &Placed,
    partner: PeerId,
    branch: Option<u8>,
    ours: &Sums,
) -> Result<Option<Vec<u64>>> {
    let request = Request::ChunkSums { layout: layout.id(), branch, total: ours.total(branch) };
    match context.call(partner, request).await? {
        Response::ChunkSums(sums) => Ok(sums.filter(|sums| sums.is_empty() || sums.len() == Sums::WIDTH)),
        _ => Err(context.unexpected("sums of chunks")),
    }
}

/// The leaf that a chunk belongs to.
fn leaf_of(chunk: ChunkId) -> u16 {
    let [high, low, ..] = *chunk.as_bytes();
    u16::from_be_bytes([high, low])
}

/// What it adds there: it is a hash already.
fn hash_of(chunk: ChunkId) -> u64 {
    let bytes = chunk.as_bytes();
    u64::from_le_bytes(std::array::from_fn(|at| bytes[at + 8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sums_say_nothing_of_is_asked_for_and_else_only_what_differs() {
        let (one, other) = (ChunkId::of(b"1"), ChunkId::of(b"2"));
        let peer = |n| PeerId::from_bytes([n; 32]);
        let leaves = BTreeMap::from([(peer(1), BTreeSet::from([leaf_of(one)])), (peer(2), BTreeSet::new())]);
        let differing = Differing { leaves, is_partial: false };
        assert!(differing.has(peer(1), one) && !differing.has(peer(1), other));
        assert!(!differing.has(peer(2), one));
        assert!(differing.has(peer(3), one), "nothing is known of it");
        assert!(!differing.is_nothing());
        let nothing = BTreeMap::from([(peer(2), BTreeSet::new())]);
        assert!(Differing { leaves: nothing.clone(), is_partial: false }.is_nothing());
        assert!(!Differing { leaves: nothing, is_partial: true }.is_nothing());
    }
}

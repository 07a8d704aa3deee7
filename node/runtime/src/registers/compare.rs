//! Registers that some acceptor holds an older value of are found by comparing.
//!
//! An acceptor that was away while a name changed has the older value until the
//! name changes again. That harms no operation, which all ask a majority; but
//! each such acceptor is one less that may fail, and keeps a removal from being
//! forgotten. So every so often peers compare what they have accepted.
//!
//! ```text
//!   A, the smaller id                         B, an acceptor of some of the same registers
//!     |--- RegisterSums(all) ------------------->|  256 sums, one a branch
//!     |--- RegisterSums(branch) ---------------->|  256 sums, one a leaf, of a branch that differs
//!     |--- RegisterBallots(leaves) ------------->|  key and ballot of each register in them
//!     |    compare with what is here, bring together what differs
//! ```
//!
//! Sums are over the registers of which both are acceptors ([`Sums`]). One walk
//! through all registers here makes those for all partners, and they are kept
//! until the next: some 25 bytes for each register and partner, of which a name
//! has four. So the sums of two peers are not of one moment, and what has been
//! changed in between seems to differ: that costs a look at it, no more, since
//! ballots are asked for anew, and all acceptors once more before anything is done.
//!
//! Cost, while nothing differs: the walk, and 2 KiB for each pair of peers with
//! registers in common. A name that differs costs its branch's sums (2 KiB), its
//! key, a look through the registers at either, and what [`bring_together`] costs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use shoal_register::sums::{hash_of, leaf_of};
use shoal_types::{
    Ballot, Error, LayoutId, PeerId, RegisterEntry, RegisterKey, RegisterKind, RegisterPlace, Request, Response,
    Result, Sums,
};

use super::together::bring_together;
use super::walk::{self, Walk};
use crate::at_rest;
use crate::compared::Table;
use crate::context::Context;
use crate::placed::Placed;

/// It is compared once in so many intervals of repair.
const INTERVALS: u32 = 5;

/// Registers looked at for one page of ballots, and bytes of keys in it.
const BALLOTS_LOOKED_AT_MAX: usize = 20_000;
const BALLOTS_BYTES_MAX: usize = 400 << 10;

/// Bytes of a ballot, and of what is around it and a key.
const BALLOT_BYTES: usize = 64;

/// Partners compared with at once.
const PARTNERS_AT_ONCE: usize = 4;

/// Registers brought together at once.
const AT_ONCE: usize = 16;

/// Compares for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        context.ports.clock.sleep(context.config.timing.repair_interval * INTERVALS).await;
        let layout = context.layout().filter(|layout| !layout.is_joint() && layout.involves(context.me));
        let Some(layout) = layout else {
            continue;
        };
        at_rest::log(
            compare(&context, &layout).await,
            "registers that some acceptors had missed are known to all",
            "not all registers are known to all of their acceptors",
        );
    }
}

/// Compares with all partners; how many registers were brought together.
async fn compare(context: &Arc<Context>, layout: &Arc<Placed>) -> Result<usize> {
    let table = context.compared.publish(walk(context, layout).await?);
    let live = |peer: &PeerId| context.is_live(*peer);
    // Of each pair one asks; who is away is compared with when it is back.
    let members = layout.members.iter().map(|member| member.id);
    let asked: Vec<PeerId> = members.filter(|peer| *peer > context.me).filter(live).collect();
    let compared = stream::iter(asked).map(|peer| {
        let sums = table.with(peer);
        async move { (peer, differing(context, layout, peer, sums).await) }
    });
    let mut compared = compared.buffer_unordered(PARTNERS_AT_ONCE);
    let (mut keys, mut failed) = (BTreeSet::new(), None);
    while let Some((peer, found)) = compared.next().await {
        match found {
            Ok(found) => keys.extend(found),
            // It may not have walked through its own yet, or have gone.
            Err(error) => {
                tracing::debug!(%error, peer = %peer.short(), "not compared");
                failed = Some(error);
            }
        }
    }
    let rounds = stream::iter(keys.into_iter().take(context.config.bounds.differing_registers));
    let mut rounds =
        rounds.map(|key| async move { bring_together(context, layout, &key).await }).buffer_unordered(AT_ONCE);
    let mut count = 0;
    while let Some(took) = rounds.next().await {
        match took {
            Ok(took) => count += usize::from(took),
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) if count == 0 => Err(error),
        _ => Ok(count),
    }
}

/// One walk through all registers here, for all partners.
async fn walk(context: &Arc<Context>, layout: &Arc<Placed>) -> Result<Table> {
    let mut table = Table::new(layout.id());
    let mut from = Some(walk::FIRST);
    while let Some(begin) = from {
        let (page, next) = walk::page_here(context, begin).await?;
        for RegisterEntry { key, accepted, .. } in page {
            let acceptors = key.placed_by().map(|name| layout.acceptors(name).current).unwrap_or_default();
            if acceptors.contains(&context.me) {
                for partner in acceptors.into_iter().filter(|peer| *peer != context.me) {
                    table.add(partner, leaf_of(&key), hash_of(&key, accepted));
                }
            }
        }
        from = next;
    }
    Ok(table)
}

/// Registers here, or at the partner, that differ.
async fn differing(
    context: &Arc<Context>,
    layout: &Arc<Placed>,
    partner: PeerId,
    ours: Option<&Sums>,
) -> Result<Vec<RegisterKey>> {
    let Some(ours) = ours else {
        return Ok(Vec::new());
    };
    let branches = ours.differing_branches(&sums_of(context, layout, partner, None).await?);
    let mut leaves = BTreeSet::new();
    for branch in branches {
        leaves.extend(ours.differing_leaves(branch, &sums_of(context, layout, partner, Some(branch)).await?));
    }
    if leaves.is_empty() {
        return Ok(Vec::new());
    }
    let differing_max = context.config.bounds.differing_registers;
    let concerns = |key: &RegisterKey| concerns(layout, [context.me, partner], &leaves, key);
    let (mut differing, mut here, mut from) = (Vec::new(), Walk::begin(), Some(walk::FIRST));
    while let Some((kind, after)) = from {
        let asked = (kind, after.clone());
        let leaves = leaves.iter().copied().collect();
        let request = Request::RegisterBallots { layout: layout.id(), leaves, kind, after };
        let Response::RegisterBallots { ballots, next } = context.call(partner, request).await? else {
            return Err(context.unexpected("ballots"));
        };
        let mut theirs: BTreeMap<RegisterKey, Ballot> = ballots.into_iter().collect();
        // Page by page, so that what is the same takes no room from what differs.
        while differing.len() < differing_max
            && let Some(RegisterEntry { key, accepted, .. }) = here.before(context, next.as_ref()).await?
        {
            if concerns(&key) && theirs.remove(&key) != Some(accepted) {
                differing.push(key);
            }
        }
        if differing.len() >= differing_max {
            break;
        }
        differing.extend(theirs.into_keys().filter(concerns));
        from = next.filter(|next| *next > asked);
    }
    Ok(differing)
}

/// Whether both are acceptors of a register in one of these leaves.
fn concerns(layout: &Placed, peers: [PeerId; 2], leaves: &BTreeSet<u16>, key: &RegisterKey) -> bool {
    leaves.contains(&leaf_of(key))
        && key.placed_by().is_some_and(|name| {
            let acceptors = layout.acceptors(name).current;
            peers.iter().all(|peer| acceptors.contains(peer))
        })
}

async fn sums_of(context: &Arc<Context>, layout: &Placed, partner: PeerId, branch: Option<u8>) -> Result<Vec<u64>> {
    match context.call(partner, Request::RegisterSums { layout: layout.id(), branch }).await? {
        Response::RegisterSums(Some(sums)) => Ok(sums),
        Response::RegisterSums(None) => {
            Err(Error::NotReady { peer: partner, why: "it has not looked through its registers yet".into() })
        }
        _ => Err(context.unexpected("sums of registers")),
    }
}

/// Ballots of the registers here that are shared with a partner and in those
/// leaves, a page of them.
pub(crate) async fn ballots(
    context: &Arc<Context>,
    partner: PeerId,
    layout: LayoutId,
    leaves: Vec<u16>,
    kind: RegisterKind,
    after: Option<RegisterPlace>,
) -> Result<Response> {
    let leaves: BTreeSet<u16> = leaves.into_iter().collect();
    let placed = context.layout().filter(|placed| placed.id() == layout);
    let placed = placed.ok_or_else(|| context.not_ready("it has another layout"))?;
    let (mut ballots, mut bytes, mut looked_at) = (Vec::new(), 0, 0);
    let mut from = Some((kind, after));
    while let Some((kind, after)) = from {
        let (page, next) = walk::page_here(context, (kind, after)).await?;
        looked_at += page.len();
        for RegisterEntry { key, accepted, .. } in page {
            if concerns(&placed, [context.me, partner], &leaves, &key) {
                bytes += key.placed_by().map_or(0, str::len) + BALLOT_BYTES;
                let place = key.place();
                ballots.push((key, accepted));
                if bytes >= BALLOTS_BYTES_MAX {
                    return Ok(Response::RegisterBallots { ballots, next: Some((kind, place)) });
                }
            }
        }
        if looked_at >= BALLOTS_LOOKED_AT_MAX {
            return Ok(Response::RegisterBallots { ballots, next });
        }
        from = next;
    }
    Ok(Response::RegisterBallots { ballots, next: None })
}

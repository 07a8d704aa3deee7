//! Bringing what this peer holds to those who own it.
//!
//! One pass looks at every register and every chunk here, and makes sure that
//! its owners have it. It runs when the layout is joint, before the old owners
//! are let go; when a peer comes or goes; and every so often, so that nothing
//! stays short of copies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use shoal_placement::{PlacementKey, owners};
use shoal_register::Decision;
use shoal_types::{ChunkId, Error, Layout, Member, PeerId, RegisterKey, Request, Response, Result};

use crate::context::{Context, lock};
use crate::{chunks, names, serve};

/// Registers settled at once.
const REGISTERS_AT_ONCE: usize = 16;

/// Chunks on their way at once: repair stays behind foreground work.
const CHUNKS_AT_ONCE: usize = 2;

/// Registers and chunks looked at in one step.
const PAGE: usize = 1_000;

/// Runs passes for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let mut layouts = context.watch_layout();
    let mut last = (0, BTreeSet::new());
    let mut last_at = Duration::ZERO;
    loop {
        let layout = layouts.borrow_and_update().clone();
        if let Some(layout) = layout.filter(|layout| layout.involves(context.me)) {
            let away = away(&context, &layout);
            let due = context.ports.clock.now().saturating_sub(last_at) >= context.config.timing.repair_interval;
            if due || last != (layout.version, away.clone()) {
                match pass(&context, &layout, &away).await {
                    Ok(()) => {
                        last = (layout.version, away.clone());
                        last_at = context.ports.clock.now();
                        *lock(&context.synced) = Some((layout.version, away.into_iter().collect()));
                    }
                    Err(error) => tracing::info!(%error, "not everything is where it belongs yet"),
                }
            }
        }
        context.ports.clock.sleep(context.config.timing.tick).await;
    }
}

/// Members to whom nothing can be brought now.
fn away(context: &Context, layout: &Layout) -> BTreeSet<PeerId> {
    layout.everyone().into_iter().filter(|peer| !context.is_live(*peer)).collect()
}

async fn pass(context: &Arc<Context>, layout: &Layout, away: &BTreeSet<PeerId>) -> Result<()> {
    if layout.is_joint() {
        registers(context).await?;
    }
    // First what this peer is the first living owner of; then, should another
    // have failed to, everything that it holds.
    for mine in [true, false] {
        chunks(context, layout, away, mine).await?;
    }
    Ok(())
}

/// An identity round for every name that is known here: what was agreed among
/// the old owners is from then on known to a majority of the new.
async fn registers(context: &Arc<Context>) -> Result<()> {
    let mut after: Option<String> = None;
    loop {
        let store = context.ports.store.clone();
        let from = after.clone();
        let page = context.blocking(move || store.register_scan("", from.as_deref(), PAGE)).await?;
        let names: Vec<String> = page
            .into_iter()
            .filter_map(|entry| match entry.key {
                RegisterKey::Object(name) => Some(name),
                RegisterKey::Layout(..) => None,
            })
            .collect();
        let Some(last) = names.last().cloned() else {
            return Ok(());
        };
        let mut rounds = stream::iter(names)
            .map(|name| async move { names::operate(context, &name, |_| Decision::Leave).await })
            .buffer_unordered(REGISTERS_AT_ONCE);
        while let Some(outcome) = rounds.next().await {
            outcome?;
        }
        after = Some(last);
    }
}

async fn chunks(context: &Arc<Context>, layout: &Layout, away: &BTreeSet<PeerId>, mine: bool) -> Result<()> {
    let live: Vec<Member> = layout.members.iter().filter(|member| !away.contains(&member.id)).cloned().collect();
    let mut after = None;
    loop {
        let store = context.ports.store.clone();
        let page = context.blocking(move || store.chunk_list(after, PAGE)).await?;
        let Some(last) = page.last().copied() else {
            return Ok(());
        };
        after = Some(last);
        let mut wanted: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
        for chunk in page {
            let owners = owners(PlacementKey::of_chunk(chunk), &live, context.config.replicas as usize);
            if mine && owners.first() != Some(&context.me) {
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
                        missing.extend(asked.iter().zip(has).filter(|(_, has)| !has).map(|(chunk, _)| (owner, *chunk)));
                    }
                    _ => return Err(context.unexpected("which chunks it has")),
                }
            }
        }
        let mut sent = stream::iter(missing)
            .map(|(owner, chunk)| async move {
                let store = context.ports.store.clone();
                let Some(bytes) = context.blocking(move || store.chunk_get(chunk, None)).await? else {
                    // Found to be broken: another holder brings it, to us as well.
                    return Ok(());
                };
                tracing::info!(chunk = %chunk.short(), to = %owner.short(), "brings a copy");
                chunks::send(context, owner, chunk, bytes).await
            })
            .buffer_unordered(CHUNKS_AT_ONCE);
        while let Some(result) = sent.next().await {
            result?;
        }
    }
}

/// Whether the old owners of a joint layout may be let go: every live member
/// has brought over all that it holds, to everyone who is live now, and so few
/// are away that no name was known to them alone.
pub(crate) async fn may_settle(context: &Arc<Context>, layout: &Layout) -> Result<()> {
    let away = away(context, layout);
    for group in layout.groups() {
        let acceptors = context.config.register_owners().min(group.len());
        let tolerated = acceptors.saturating_sub(1) / 2;
        let missing = group.iter().filter(|member| away.contains(&member.id)).count();
        if missing > tolerated {
            return Err(Error::NoQuorum {
                what: format!("letting go of layout {}", layout.version),
                answered: (group.len() - missing) as u32,
                needed: (group.len() - tolerated) as u32,
            });
        }
    }
    for peer in layout.everyone().into_iter().filter(|peer| !away.contains(peer)) {
        match context.call(peer, Request::LayoutSynced { version: layout.version }).await? {
            Response::Synced(Some(missed)) if missed.iter().all(|peer| away.contains(peer)) => {}
            Response::Synced(_) => {
                return Err(Error::NotReady { peer, why: "it is still bringing over what it holds".into() });
            }
            _ => return Err(context.unexpected("whether it has brought everything over")),
        }
    }
    Ok(())
}

//! What a peer knew of registers before it was taken in.
//!
//! A peer that was let go of keeps its acceptor state on its disk: values that
//! nobody ever agreed upon perhaps, or that were chosen, replaced, and forgotten
//! by all others since. When it is taken in again it is one of the new
//! acceptors, of whom nothing is expected: what counts is with the old ones. So
//! it drops all of that first.
//!
//! Each member of a layout carries the version that took it in (`Member::since`);
//! who stays keeps it, also one who was being let go of and has not gone: in a
//! joint layout it is one of those who hold the truth. Whoever proposes under
//! that version and later ones has ballots above its floor; so until the peer
//! has accepted anything under it, what is below it is from before. Afterwards
//! it may be brought what was agreed upon earlier, at the ballot of that time.
//!
//! A note says for which mesh and version it is done. It is written behind the
//! layout's, and before any operation under that layout is carried out: after a
//! crash in between it is done again, and never later. Of another mesh everything goes, and the
//! horizon: ballots of two meshes do not compare.

use std::sync::Arc;

use shoal_ports::Store;
use shoal_types::{Ballot, Layout, LayoutId, MeshId, RegisterKey, Result, wire};

use super::{floor, walk};
use crate::context::Context;
use crate::planted::Planted;

/// The note of the mesh, and of the version that took this peer in, of which
/// its registers are.
const NOTE: &str = "registers";

/// Whether a layout takes this peer in, or takes it in again. `is_new` is the
/// layout if it was not in force here before.
pub(crate) async fn is_taken_in(context: &Arc<Context>, layout: &Layout, is_new: bool) -> Result<bool> {
    let Some(since) = layout.since(context.me) else { return Ok(false) };
    let (store, mesh) = (context.ports.store.clone(), layout.mesh);
    let known = move || store.note_get(NOTE)?.map(|note| wire::decode::<(MeshId, u64)>(&note)).transpose();
    match context.blocking(known).await? {
        Some(known) => Ok(known != (mesh, since)),
        None if is_new => Ok(true),
        // In force since before there was such a note.
        None => note(context, mesh, since).await.map(|()| false),
    }
}

/// Drops what this peer knew before the layout took it in. Nothing may be
/// written meanwhile.
pub(crate) async fn drop_former(context: &Arc<Context>, layout: &Layout) -> Result<()> {
    let Some(since) = layout.since(context.me) else { return Ok(()) };
    if !context.has_planted(Planted::KeepsOldRegisters) {
        let (store, mesh) = (context.ports.store.clone(), layout.mesh);
        let floor = floor(LayoutId { mesh, version: since });
        let dropped = context.blocking(move || drop_below(&*store, mesh, floor)).await?;
        if dropped > 0 {
            tracing::info!(dropped, since, "registers from before it was taken in are gone");
        }
    }
    note(context, layout.mesh, since).await
}

async fn note(context: &Arc<Context>, mesh: MeshId, since: u64) -> Result<()> {
    let (store, note) = (context.ports.store.clone(), wire::encode(&(mesh, since))?);
    context.blocking(move || store.note_put(NOTE, &note)).await
}

fn drop_below(store: &dyn Store, mesh: MeshId, floor: Ballot) -> Result<usize> {
    let known = store.note_get(NOTE)?.map(|note| wire::decode::<(MeshId, u64)>(&note)).transpose()?;
    if known.is_none_or(|(known, _)| known != mesh) {
        store.register_clear()?;
        return Ok(0);
    }
    let (mut dropped, mut from) = (0, Some(walk::FIRST));
    while let Some(begin) = from {
        let (page, next) = walk::page(store, begin)?;
        let (mut keys, mut horizon): (Vec<RegisterKey>, Ballot) = (Vec::new(), Ballot::ZERO);
        for entry in page.into_iter().filter(|entry| entry.accepted < floor) {
            // The promise may be later than a scan says.
            let promised = store.register_get(&entry.key)?.map_or(entry.promised, |entry| entry.promised);
            horizon = horizon.max(promised);
            keys.push(entry.key);
        }
        if !keys.is_empty() {
            dropped += keys.len();
            store.register_forget(&keys, horizon)?;
        }
        from = next;
    }
    Ok(dropped)
}

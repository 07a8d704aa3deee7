use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, stream};
use shoal_types::{ChunkId, PeerId, Request, Response, Result};

use crate::context::Context;
use crate::serve;

/// Members asked at once which chunks they have.
const ASKED_AT_ONCE: usize = 16;

/// Whether each of these chunks has a live member that says that it has it.
/// Mostly costs a call to each of their first owners, for some thousand chunks
/// at a time; of those that it lacks the other owners are asked, then everybody.
///
/// # Errors
/// [`shoal_types::Error::NotReady`] where there is no layout. Who does not
/// answer is known to have nothing.
pub(crate) async fn are_held(context: &Arc<Context>, chunks: BTreeSet<ChunkId>) -> Result<bool> {
    let layout = context.require_layout()?;
    let live: BTreeSet<PeerId> =
        context.members.look(|table| table.live().map(|(peer, _)| peer).chain([context.me]).collect());
    let owners = |chunk| layout.owners(chunk).all().into_iter().filter(|owner| live.contains(owner));
    let mut missing = chunks;
    let first = missing.iter().filter_map(|chunk| Some((owners(*chunk).next()?, *chunk))).collect();
    ask(context, first, &mut missing).await;
    let others = missing.iter().flat_map(|chunk| owners(*chunk).skip(1).map(|owner| (owner, *chunk))).collect();
    ask(context, others, &mut missing).await;
    // Who stands in for an owner, or has it from an older layout.
    let any = missing.iter().flat_map(|chunk| live.iter().map(|peer| (*peer, *chunk))).collect();
    ask(context, any, &mut missing).await;
    Ok(missing.is_empty())
}

/// Asks each peer for its chunks. What one of them has is no longer missing.
async fn ask(context: &Arc<Context>, asked: Vec<(PeerId, ChunkId)>, missing: &mut BTreeSet<ChunkId>) {
    let mut by_peer: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
    for (peer, chunk) in asked {
        by_peer.entry(peer).or_default().push(chunk);
    }
    let calls = by_peer.iter().flat_map(|(peer, chunks)| chunks.chunks(serve::HAS_MAX).map(|some| (*peer, some)));
    let calls: Vec<_> = calls
        .map(|(peer, chunks)| async move {
            (chunks, context.call(peer, Request::ChunkHas { chunks: chunks.to_vec() }).await)
        })
        .collect();
    let mut answers = stream::iter(calls).buffer_unordered(ASKED_AT_ONCE);
    while let Some((chunks, answer)) = answers.next().await {
        if let Ok(Response::Has(has)) = answer
            && has.len() == chunks.len()
        {
            chunks.iter().zip(has).filter(|(_, has)| *has).for_each(|(chunk, _)| _ = missing.remove(chunk));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, mesh, ports};

    #[tokio::test]
    async fn a_chunk_is_held_where_one_says_so_and_not_where_nobody_answers() {
        let (events, _inbound) = mpsc::channel(1);
        let config = config();
        let network = Arc::new(Network::new(config.info.id, events));
        let context = mesh(Context::new(config, ports(network.clone())), &[7, 8, 9]);
        let chunk = ChunkId::of(b"x");
        let is_held = || are_held(&context, BTreeSet::from([chunk]));
        assert_eq!(is_held().await, Ok(false), "nobody answers");
        network.answers_after(0);
        network.answers(Response::Has(vec![false]));
        assert_eq!(is_held().await, Ok(false));
        let asked = network.answered();
        assert!(asked >= 3, "all others were asked");
        network.answers(Response::Has(vec![true]));
        assert_eq!(is_held().await, Ok(true));
        assert!(network.answered() <= asked + 2, "some owners were asked");
        // Whether it is to be here or not.
        network.answers(Response::Has(vec![false]));
        context.ports.store.chunk_put(chunk, b"x").unwrap();
        assert_eq!(is_held().await, Ok(true));
    }
}

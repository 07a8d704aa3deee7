use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shoal_ports::TaskHandle;
use shoal_types::{ChunkId, Copies, LayoutId, PeerId, Request, Response, Result};

use crate::chunks::{self, Durability};
use crate::context::{Context, lock};
use crate::moment::Moment;
use crate::serve;

/// Until when a manifest may be agreed to, by when its chunks were last
/// brought or claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    since: Begun,
    grace: Duration,
}

/// When chunks were brought, and to the owners under which layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun {
    at: Moment,
    layout: Option<LayoutId>,
}

impl Begun {
    fn now(context: &Context) -> Self {
        Self { at: Moment::now(context), layout: context.layout().map(|layout| layout.id()) }
    }
}

impl Lease {
    /// For chunks that are brought from now on.
    pub(crate) fn new(context: &Context) -> Self {
        Self { since: Begun::now(context), grace: context.config.timing.grace }
    }

    /// Whether it is time to claim what it is for again.
    pub(crate) fn is_due(self, context: &Context) -> bool {
        self.since.at.age(context) >= self.grace / 4 || self.is_of_another_layout(context)
    }

    pub(crate) fn is_over(self, context: &Context) -> bool {
        self.since.at.age(context) >= self.grace / 2 || self.is_of_another_layout(context)
    }

    fn is_of_another_layout(self, context: &Context) -> bool {
        context.layout().map(|layout| layout.id()) != self.since.layout
    }
}

/// Chunks of a put that is under way, claimed again and again as long as this
/// lives, however long the next one takes.
pub(crate) struct Claims {
    context: Arc<Context>,
    durability: Durability,
    state: Arc<Mutex<State>>,
    task: TaskHandle,
}

struct State {
    /// Chunks that are on all their owners.
    there: Vec<ChunkId>,
    /// Since when others are on their way.
    coming: Vec<Begun>,
    lease: Lease,
}

/// A chunk on its way.
pub(crate) struct Coming {
    state: Arc<Mutex<State>>,
    since: Begun,
}

impl Coming {
    /// It is there; not said, it did not arrive.
    pub(crate) fn arrived(self, chunk: ChunkId) {
        lock(&self.state).there.push(chunk);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let coming = &mut lock(&self.state).coming;
        if let Some(at) = coming.iter().position(|since| *since == self.since) {
            coming.swap_remove(at);
        }
    }
}

impl Claims {
    pub(crate) fn new(context: &Arc<Context>, durability: Durability) -> Self {
        let state = State { there: Vec::new(), coming: Vec::new(), lease: Lease::new(context) };
        let state = Arc::new(Mutex::new(state));
        let (renewing, kept) = (context.clone(), state.clone());
        let task = context.spawn("claims of a put", async move {
            loop {
                renewing.ports.clock.sleep(renewing.config.timing.grace / 16).await;
                if let Err(error) = renew(&renewing, &kept, durability).await {
                    tracing::info!(%error, "not all chunks of a put are claimed");
                }
            }
        });
        Self { context: context.clone(), durability, state, task }
    }

    /// A chunk is brought from now on.
    pub(crate) fn begin(&self) -> Coming {
        let since = Begun::now(&self.context);
        lock(&self.state).coming.push(since);
        Coming { state: self.state.clone(), since }
    }

    /// Until when all of them can be listed.
    pub(crate) async fn lease(&self) -> Result<Lease> {
        renew(&self.context, &self.state, self.durability).await?;
        Ok(lock(&self.state).lease)
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn renew(context: &Arc<Context>, state: &Mutex<State>, durability: Durability) -> Result<()> {
    let (there, coming) = {
        let state = lock(state);
        if !state.lease.is_due(context) {
            return Ok(());
        }
        (state.there.clone(), state.coming.clone())
    };
    let lease = claim(context, &there, durability).await?;
    // What has reached one owner and not the next is as old as its beginning.
    lock(state).lease = of_all(lease, &coming);
    Ok(())
}

/// The lease on what was claimed and what is on its way: that which is over
/// first. What was begun under another layout went to that one's owners.
fn of_all(claimed: Lease, coming: &[Begun]) -> Lease {
    let is_elsewhere = |begun: &Begun| begun.layout != claimed.since.layout;
    let since = coming.iter().copied().chain([claimed.since]).min_by_key(|begun| (!is_elsewhere(begun), begun.at));
    Lease { since: since.unwrap_or(claimed.since), ..claimed }
}

/// Has the owners of `chunks` keep them for somebody who is about to list
/// them, and have so many copies. One that an owner does not have, or does not
/// say that it has, is brought again from another, unless whoever stands in for
/// a silent one has it. Costs a call for some thousand chunks of an owner.
///
/// # Errors
/// [`shoal_types::Error::ChunkLost`] when nobody has one of them any more.
pub(crate) async fn claim(context: &Arc<Context>, chunks: &[ChunkId], durability: Durability) -> Result<Lease> {
    let lease = Lease::new(context);
    let layout = context.require_layout()?;
    let replicas = layout.number(durability.copies);
    let owners = |chunk| layout.owners_where(chunk, replicas, |peer| context.is_live(peer));
    let by_owner = |chunk: &ChunkId| (*chunk, owners(*chunk));
    let mut missing = unclaimed(context, chunks.iter().map(by_owner), durability.copies).await?;
    let silent = context.acks.silent(context.ports.clock.now());
    if !missing.is_empty() && !silent.is_empty() {
        let answers = |peer| context.is_live(peer) && !silent.contains_key(&peer);
        let others = missing.iter().map(|chunk| (*chunk, layout.owners_where(*chunk, replicas, answers)));
        let (stood_in, alone): (Vec<_>, Vec<_>) = others.partition(|(_, others)| others.len() == replicas);
        missing = unclaimed(context, stood_in, durability.copies).await?;
        missing.extend(alone.into_iter().map(|(chunk, _)| chunk));
    }
    for chunk in missing {
        let (bytes, _) = chunks::read(context, chunk, None).await?;
        chunks::put(context, bytes, durability).await?;
    }
    Ok(lease)
}

/// Those of the chunks that not all of those say they keep who are beside each.
async fn unclaimed(
    context: &Arc<Context>,
    chunks: impl IntoIterator<Item = (ChunkId, Vec<PeerId>)>,
    copies: Copies,
) -> Result<BTreeSet<ChunkId>> {
    let mut wanted: BTreeMap<PeerId, BTreeSet<ChunkId>> = BTreeMap::new();
    for (chunk, keepers) in chunks {
        for keeper in keepers {
            wanted.entry(keeper).or_default().insert(chunk);
        }
    }
    let mut missing: BTreeSet<ChunkId> = BTreeSet::new();
    for (owner, chunks) in wanted {
        for asked in Vec::from_iter(chunks).chunks(serve::HAS_MAX) {
            match context.call(owner, Request::ChunkClaim { chunks: asked.to_vec(), copies }).await {
                Ok(Response::Has(has)) if has.len() == asked.len() => {
                    missing.extend(asked.iter().zip(has).filter(|(_, has)| !has).map(|(chunk, _)| *chunk));
                }
                Ok(_) => return Err(context.unexpected("a claim")),
                Err(error) => {
                    tracing::info!(%error, owner = %owner.short(), "chunks are not claimed there");
                    missing.extend(asked);
                }
            }
        }
    }
    Ok(missing)
}

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    fn begun(at: u64, version: u64) -> Begun {
        let layout = Some(LayoutId { mesh: MeshId::from_bytes([1; 16]), version });
        Begun { at: Moment { at: Duration::from_secs(at), wall_ms: at * 1000 }, layout }
    }

    #[test]
    fn a_lease_is_no_better_than_the_worst_of_what_it_is_for() {
        let claimed = Lease { since: begun(9, 2), grace: Duration::from_secs(20) };
        let since = |coming: &[Begun]| of_all(claimed, coming).since;
        assert_eq!(since(&[]), begun(9, 2));
        assert_eq!(since(&[begun(10, 2), begun(3, 2), begun(5, 2)]), begun(3, 2));
        // What went to the owners under the layout before was not claimed of those now.
        assert_eq!(since(&[begun(8, 1), begun(3, 2)]).layout, begun(8, 1).layout);
        assert_eq!(since(&[begun(3, 2), begun(2, 1)]).layout, begun(2, 1).layout);
    }
}

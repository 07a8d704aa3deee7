use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shoal_ports::TaskHandle;
use shoal_types::{ChunkId, LayoutId, PeerId, Request, Response, Result};

use crate::chunks::{self, Durability};
use crate::context::{Context, lock};
use crate::serve;

/// Until when a manifest may be agreed to, by when its chunks were last
/// brought or claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    since: Duration,
    grace: Duration,
    /// A clock may stand still, as that of a machine that sleeps: whoever was
    /// away for long finds that the others have a layout without it.
    layout: Option<LayoutId>,
}

impl Lease {
    /// For chunks that are brought from now on.
    pub(crate) fn new(context: &Context) -> Self {
        let layout = context.layout().map(|layout| layout.id());
        Self { since: context.ports.clock.now(), grace: context.config.timing.grace, layout }
    }

    /// Whether it is time to claim what it is for again.
    pub(crate) fn is_due(self, context: &Context) -> bool {
        context.ports.clock.now() >= self.since + self.grace / 4 || self.is_of_another_layout(context)
    }

    pub(crate) fn is_over(self, context: &Context) -> bool {
        context.ports.clock.now() >= self.since + self.grace / 2 || self.is_of_another_layout(context)
    }

    fn is_of_another_layout(self, context: &Context) -> bool {
        context.layout().map(|layout| layout.id()) != self.layout
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
    coming: Vec<Duration>,
    lease: Lease,
}

/// A chunk on its way.
pub(crate) struct Coming {
    state: Arc<Mutex<State>>,
    since: Duration,
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
        let since = self.context.ports.clock.now();
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
    let (there, oldest) = {
        let state = lock(state);
        if !state.lease.is_due(context) {
            return Ok(());
        }
        (state.there.clone(), state.coming.iter().min().copied())
    };
    let lease = claim(context, &there, durability).await?;
    // What has reached one owner and not the next is as old as its beginning.
    let since = oldest.map_or(lease.since, |oldest| oldest.min(lease.since));
    lock(state).lease = Lease { since, ..lease };
    Ok(())
}

/// Has the owners of `chunks` keep them for somebody who is about to list
/// them, and have so many copies. One that an owner does not have, or does not
/// say that it has, is brought again from another. Costs a call for some
/// thousand chunks of an owner.
///
/// # Errors
/// [`shoal_types::Error::ChunkLost`] when nobody has one of them any more.
pub(crate) async fn claim(context: &Arc<Context>, chunks: &[ChunkId], durability: Durability) -> Result<Lease> {
    let lease = Lease::new(context);
    let layout = context.require_layout()?;
    let (copies, replicas) = (durability.copies, layout.number(durability.copies));
    let mut wanted: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
    for chunk in chunks.iter().collect::<BTreeSet<_>>() {
        for owner in layout.owners_where(*chunk, replicas, |peer| context.is_live(peer)) {
            wanted.entry(owner).or_default().push(*chunk);
        }
    }
    let mut missing: BTreeSet<ChunkId> = BTreeSet::new();
    for (owner, chunks) in wanted {
        for asked in chunks.chunks(serve::HAS_MAX) {
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
    for chunk in missing {
        let (bytes, _) = chunks::read(context, chunk, None).await?;
        chunks::put(context, bytes, durability).await?;
    }
    Ok(lease)
}

//! Copies beyond those that there are to be are let go of.
//!
//! Whoever stood in for an owner that was away keeps copies that nobody
//! counts on once the owner is back, and so does an owner whose share became
//! smaller. Such a copy goes when every owner has said twice that it has one,
//! while the layout is settled and nobody is away.
//!
//! Between the first answers and the end this peer says of the copy that it
//! has none. So nobody counts on it any more; and whoever brings it again
//! meanwhile, as an owner's stand-in, keeps it here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use shoal_ports::Store;
use shoal_types::{ChunkId, Copies, Error, HashedChunk, PeerId, Request, Response, Result};
use tokio::sync::OwnedSemaphorePermit;

use crate::context::{Context, lock};
use crate::placed::Placed;
use crate::planted::Planted;
use crate::{at_rest, serve};

/// Chunks looked at in one step.
const PAGE: usize = 1_000;

/// Copies that are on their way out, and those that are being made.
#[derive(Default)]
pub(crate) struct Surplus(Mutex<State>);

#[derive(Default)]
struct State {
    /// Nobody is told of these any more.
    doubtful: BTreeSet<ChunkId>,
    /// These are being deleted.
    going: BTreeSet<ChunkId>,
    /// Chunks that are being written here, and by how many.
    coming: BTreeMap<ChunkId, usize>,
    /// Chunks that nothing was found to refer to; see `collect`.
    unreferenced: BTreeMap<ChunkId, Unreferenced>,
}

#[derive(Debug, Clone, Copy)]
struct Unreferenced {
    /// When that was found out first.
    since: Duration,
    /// Found out again when no put could be about to list it any more: a lease
    /// from before is over by then.
    is_certain: bool,
}

impl Surplus {
    /// Whether others can count on the copy here, if there is one.
    pub(crate) fn is_kept(&self, chunk: ChunkId) -> bool {
        let state = lock(&self.0);
        !state.doubtful.contains(&chunk) && !state.going.contains(&chunk)
    }

    /// A copy is to be made here. `false` while the one that is here is being
    /// deleted: it is to be asked for again.
    fn begin(&self, chunk: ChunkId) -> bool {
        let mut state = lock(&self.0);
        let is_free = !state.going.contains(&chunk);
        if is_free {
            *state.coming.entry(chunk).or_default() += 1;
            state.unreferenced.remove(&chunk);
        }
        is_free
    }

    /// Somebody is about to refer to a chunk: whether the copy here, if there
    /// is one, will wait for that.
    pub(crate) fn claim(&self, chunk: ChunkId) -> bool {
        let mut state = lock(&self.0);
        state.unreferenced.remove(&chunk);
        !state.doubtful.contains(&chunk) && !state.going.contains(&chunk)
    }

    /// Whether certainly nothing refers to it, nor will. Found out once, that
    /// says little: what a put has just brought is listed a moment later, and
    /// the next round may be long in coming.
    pub(crate) fn is_unreferenced(&self, chunk: ChunkId) -> bool {
        lock(&self.0).unreferenced.get(&chunk).is_some_and(|mark| mark.is_certain)
    }

    /// Whether nothing was found to refer to it, be it once.
    pub(crate) fn is_unlisted(&self, chunk: ChunkId) -> bool {
        lock(&self.0).unreferenced.contains_key(&chunk)
    }

    /// Something refers to these.
    pub(crate) fn referenced(&self, chunks: &[ChunkId]) {
        let mut state = lock(&self.0);
        for chunk in chunks {
            state.unreferenced.remove(chunk);
        }
    }

    /// Nothing refers to these, as was found out between `began` and `now`.
    /// Those of which that was known a `grace` before it began, and that nobody
    /// has claimed or brought since: they are going.
    pub(crate) fn collect(
        &self,
        mut chunks: Vec<ChunkId>,
        began: Duration,
        now: Duration,
        grace: Duration,
    ) -> Vec<ChunkId> {
        let state = &mut *lock(&self.0);
        chunks.retain(|chunk| {
            let mark = state.unreferenced.entry(*chunk).or_insert(Unreferenced { since: now, is_certain: false });
            mark.is_certain |= mark.since + grace / 2 <= began;
            mark.since + grace <= began
                && !state.coming.contains_key(chunk)
                && state.unreferenced.remove(chunk).is_some()
        });
        state.going.extend(&chunks);
        chunks
    }

    /// It has been made, or not. What was there before is wanted again.
    fn end(&self, chunk: ChunkId) {
        let mut state = lock(&self.0);
        state.doubtful.remove(&chunk);
        if let Some(count) = state.coming.get_mut(&chunk) {
            *count -= 1;
            if *count == 0 {
                state.coming.remove(&chunk);
            }
        }
    }

    fn doubt(&self, chunks: impl IntoIterator<Item = ChunkId>) {
        lock(&self.0).doubtful.extend(chunks);
    }

    fn doubt_no_more(&self) {
        lock(&self.0).doubtful.clear();
    }

    /// Those of `chunks` of which nobody has wanted a copy since they were
    /// doubted: they are going.
    fn let_go(&self, mut chunks: Vec<ChunkId>) -> Vec<ChunkId> {
        let state = &mut *lock(&self.0);
        chunks.retain(|chunk| state.doubtful.remove(chunk) && !state.coming.contains_key(chunk));
        for chunk in &chunks {
            state.unreferenced.remove(chunk);
        }
        state.going.extend(&chunks);
        chunks
    }

    /// They are deleted, or stay after all.
    pub(crate) fn gone(&self, chunks: &[ChunkId]) {
        let mut state = lock(&self.0);
        for chunk in chunks {
            state.going.remove(chunk);
        }
    }
}

/// Keeps one of so many copies here, synced on `Ok`, whatever else becomes of
/// one that is here.
///
/// # Errors
/// [`Error::BadFrame`] for bytes that are not that chunk.
pub(crate) async fn keep(context: &Arc<Context>, chunk: ChunkId, bytes: Bytes, copies: Copies) -> Result<()> {
    wanted(context, chunk, move |store| {
        let hashed = HashedChunk::of(bytes);
        if hashed.id() != chunk {
            return Err(Error::BadFrame { what: format!("bytes that are not chunk {}", chunk.short()) });
        }
        store.chunk_keep(&hashed, copies)
    })
    .await
}

/// As [`keep`], of what was hashed here. The turn ends once it is written.
pub(crate) async fn keep_hashed(
    context: &Arc<Context>,
    chunk: HashedChunk,
    copies: Copies,
    turn: OwnedSemaphorePermit,
) -> Result<()> {
    let id = chunk.id();
    let keep = move |store: &dyn Store| {
        let _turn = turn;
        store.chunk_keep(&chunk, copies)
    };
    wanted(context, id, keep).await
}

/// Whether a put can count on a copy that is here as on one that it brings:
/// it is whole, and from now on as wanted as one that has just come. Reads it.
///
/// The put says so before there is a manifest that lists the chunk: so to ask
/// is to use it, and `collect` takes the question for a copy made at that moment.
pub(crate) async fn keep_what_is_here(context: &Arc<Context>, chunk: ChunkId, copies: Copies) -> Result<bool> {
    wanted(context, chunk, move |store| Ok(store.chunk_get(chunk, None)?.is_some() && store.chunk_want(chunk, copies)?))
        .await
}

/// Does something about a copy that somebody wants here: it does not go
/// meanwhile, and is not on its way out afterwards.
async fn wanted<T: Send + 'static>(
    context: &Arc<Context>,
    chunk: ChunkId,
    work: impl FnOnce(&dyn Store) -> Result<T> + Send + 'static,
) -> Result<T> {
    while !context.surplus.begin(chunk) {
        context.ports.clock.sleep(context.config.timing.tick).await;
    }
    let (store, ending) = (context.ports.store.clone(), context.clone());
    context
        .blocking(move || {
            let done = work(&*store);
            ending.surplus.end(chunk);
            done
        })
        .await
}

/// Deletes copies that are going.
pub(crate) async fn delete(context: &Arc<Context>, going: Vec<ChunkId>) -> Result<()> {
    let (store, ending) = (context.ports.store.clone(), context.clone());
    let delete = move || {
        let deleted = going.iter().try_for_each(|chunk| store.chunk_delete(*chunk));
        ending.surplus.gone(&going);
        deleted
    };
    context.blocking(delete).await
}

/// Looks for copies to let go of, for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let mut before = None;
    loop {
        context.ports.clock.sleep(context.config.timing.repair_interval).await;
        let layout = at_rest::layout(&context);
        let now = layout.as_ref().map(|layout| layout.id());
        // After a change there is enough to do; and those who were away may be so again.
        if let Some(layout) = layout.filter(|_| before == now) {
            at_rest::log(
                pass(&context, &layout).await,
                "copies that are kept elsewhere are gone",
                "not all copies that are kept elsewhere are gone",
            );
            context.surplus.doubt_no_more();
        }
        before = now;
    }
}

/// Looks at all copies here; how many went.
async fn pass(context: &Arc<Context>, layout: &Placed) -> Result<usize> {
    let (mut after, mut count) = (None, 0);
    loop {
        let store = context.ports.store.clone();
        let page = context.blocking(move || with_copies(&*store, after, PAGE)).await?;
        let Some((last, _)) = page.last().copied() else {
            return Ok(count);
        };
        after = Some(last);
        let surplus = page.into_iter().filter(|(chunk, copies)| !layout.is_owner_of(context.me, *chunk, *copies));
        let surplus = surplus.collect();
        let surplus = kept_by_all(context, layout, surplus).await?;
        context.surplus.doubt(surplus.iter().map(|(chunk, _)| *chunk));
        let surplus = BTreeMap::from_iter(kept_by_all(context, layout, surplus).await?);
        if at_rest::layout(context).is_none_or(|now| now.id() != layout.id()) {
            return Ok(count);
        }
        let going = context.surplus.let_go(surplus.keys().copied().collect());
        if going.is_empty() {
            continue;
        }
        let going = as_many_as_asked(context, going, surplus).await?;
        count += going.len();
        delete(context, going).await?;
    }
}

/// Those of the `going` of which there are to be as many copies as when their
/// owners were asked. A put may have wanted more between that and the doubt,
/// and counts on the copy here.
async fn as_many_as_asked(
    context: &Arc<Context>,
    going: Vec<ChunkId>,
    asked: BTreeMap<ChunkId, Copies>,
) -> Result<Vec<ChunkId>> {
    let (store, ending) = (context.ports.store.clone(), context.clone());
    let look = move || {
        let (mut going, mut stay) = (going, Vec::new());
        going.retain(|chunk| {
            let wanted = store.chunk_copies(*chunk).map(Option::unwrap_or_default);
            let is_as_asked = wanted.is_ok_and(|copies| asked.get(chunk) == Some(&copies));
            if !is_as_asked {
                stay.push(*chunk);
            }
            is_as_asked
        });
        ending.surplus.gone(&stay);
        Ok(going)
    };
    context.blocking(look).await
}

/// Chunks that are here, in the order of their ids, and how many copies there
/// are to be of each.
pub(crate) fn with_copies(store: &dyn Store, after: Option<ChunkId>, limit: usize) -> Result<Vec<(ChunkId, Copies)>> {
    let page = store.chunk_list(after, limit)?;
    page.into_iter().map(|chunk| Ok((chunk, store.chunk_copies(chunk)?.unwrap_or_default()))).collect()
}

/// Those of `chunks` that every one of their owners says it keeps.
async fn kept_by_all(
    context: &Arc<Context>,
    layout: &Placed,
    mut chunks: Vec<(ChunkId, Copies)>,
) -> Result<Vec<(ChunkId, Copies)>> {
    if context.has_planted(Planted::ShedsUnasked) {
        return Ok(chunks);
    }
    let mut asked: BTreeMap<PeerId, Vec<ChunkId>> = BTreeMap::new();
    for (chunk, copies) in &chunks {
        for owner in layout.owners_of(*chunk, *copies).current {
            asked.entry(owner).or_default().push(*chunk);
        }
    }
    let mut missing = BTreeSet::new();
    for (owner, chunks) in asked {
        for asked in chunks.chunks(serve::HAS_MAX) {
            match context.call(owner, Request::ChunkHas { chunks: asked.to_vec() }).await? {
                Response::Has(has) if has.len() == asked.len() => {
                    missing.extend(asked.iter().zip(has).filter(|(_, has)| !has).map(|(chunk, _)| *chunk));
                }
                _ => return Err(context.unexpected("which chunks it has")),
            }
        }
    }
    chunks.retain(|(chunk, _)| !missing.contains(chunk));
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(n: u8) -> ChunkId {
        ChunkId::of(&[n])
    }

    /// Once repair passed over what a put had just brought and not listed yet:
    /// a peer that left took it along.
    #[test]
    fn what_nothing_was_found_to_refer_to_once_is_brought_to_its_owners_all_the_same() {
        let (surplus, second) = (Surplus::default(), Duration::from_secs(1));
        let round = |at: u32| surplus.collect(vec![chunk(1)], at * second, at * second, 20 * second);
        assert!(round(5).is_empty() && !surplus.is_unreferenced(chunk(1)));
        assert!(round(10).is_empty() && !surplus.is_unreferenced(chunk(1)));
        // No lease from before is in force any more.
        assert!(round(15).is_empty() && surplus.is_unreferenced(chunk(1)));
        assert!(surplus.claim(chunk(1)) && !surplus.is_unreferenced(chunk(1)));
        assert!(round(20).is_empty() && round(39).is_empty());
        assert_eq!(round(40), [chunk(1)]);
    }

    #[test]
    fn a_copy_goes_that_nobody_has_wanted_since_it_was_doubted() {
        let surplus = Surplus::default();
        assert!(surplus.is_kept(chunk(1)));
        surplus.doubt([chunk(1), chunk(2)]);
        assert!(!surplus.is_kept(chunk(1)));
        assert_eq!(surplus.let_go(vec![chunk(1), chunk(3)]), [chunk(1)], "3 was not doubted");
        assert!(!surplus.is_kept(chunk(1)));
        assert!(!surplus.begin(chunk(1)), "it is being deleted");
        surplus.gone(&[chunk(1)]);
        assert!(surplus.is_kept(chunk(1)) && surplus.begin(chunk(1)));
        surplus.doubt_no_more();
        assert!(surplus.is_kept(chunk(2)));
    }

    #[test]
    fn a_copy_that_is_brought_again_stays_whenever_that_begins_and_ends() {
        let surplus = Surplus::default();
        // All of it between the doubt and the end.
        surplus.doubt([chunk(1)]);
        assert!(surplus.begin(chunk(1)));
        surplus.end(chunk(1));
        assert!(surplus.is_kept(chunk(1)));
        assert!(surplus.let_go(vec![chunk(1)]).is_empty());
        // Begun before it is doubted, ended after.
        assert!(surplus.begin(chunk(1)));
        surplus.doubt([chunk(1)]);
        surplus.end(chunk(1));
        assert!(surplus.let_go(vec![chunk(1)]).is_empty());
        // Not ended yet.
        assert!(surplus.begin(chunk(1)) && surplus.begin(chunk(1)));
        surplus.end(chunk(1));
        surplus.doubt([chunk(1)]);
        assert!(surplus.let_go(vec![chunk(1)]).is_empty());
        surplus.end(chunk(1));
        surplus.doubt([chunk(1)]);
        assert_eq!(surplus.let_go(vec![chunk(1)]), [chunk(1)]);
    }
}

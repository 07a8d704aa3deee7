//! Chunks that nothing refers to any more go.
//!
//! Each peer looks at its own copies. It asks every member, itself too, which
//! of them are listed by an object that it knows of (whatever version of it:
//! also one that it has accepted and that nobody has agreed to yet), or are
//! used by a job or a reader there. That is a round; it counts only when all
//! members have answered to the end, under one settled layout.
//!
//! A copy that a round did not find goes when another round, which began a
//! grace period later, does not find it either, and nobody has wanted it in
//! between: brought it, or claimed it. Whoever is about to list a chunk in a
//! manifest has brought or claimed it less than half a grace period before it
//! asks the first acceptor to accept that (`Lease`); so a chunk on its way to
//! being listed is found by the second round, or was wanted in between.
//!
//! What a peer knows of that is in its memory only, and times are of the
//! monotonic clock: a restart begins anew, a clock that is set does nothing.
//! A chunk that is listed nowhere is brought to nobody by repair either.

mod lease;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use shoal_types::{
    ChunkId, Error, LayoutId, NameValue, PeerId, ReferencesFrom, RegisterKind, RegisterPlace, RegisterSpan, Request,
    Response, Result, wire,
};

use crate::context::Context;
use crate::placed::Placed;
use crate::planted::Planted;
use crate::{at_rest, serve, surplus};
pub(crate) use lease::{Claims, Lease, claim};

/// Chunks looked at in one step.
const PAGE: usize = 1_000;

/// Registers looked at for one page of references.
const REGISTERS_PAGE: usize = 500;

/// References in one page: eight bytes each, so that it fits a frame.
const REFERENCES_PAGE: usize = 30_000;

/// Members asked at once.
const ASKED_AT_ONCE: usize = 8;

/// Collects for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let mut beside = None;
    loop {
        let layout = at_rest::next_round(&context).await;
        let collected = round(&context, &layout, &mut beside).await;
        at_rest::log(collected, "chunks that nothing refers to are gone", "what can go is not known");
    }
}

/// One round; how many copies went. Of those that others own it looks at some
/// after one, and says where the next round goes on.
async fn round(context: &Arc<Context>, layout: &Placed, after_beside: &mut Option<ChunkId>) -> Result<usize> {
    let began = context.ports.clock.now();
    let (beside, next) = not_owned(context, layout, *after_beside).await?;
    let mut members: Vec<PeerId> = layout.everyone();
    if context.has_planted(Planted::CollectsUnasked) {
        members.retain(|member| *member == context.me);
    }
    let mut found: BTreeSet<u64> = BTreeSet::new();
    let asked = stream::iter(members).map(|member| references_of(context, member, layout.id(), &beside));
    let mut asked = asked.buffer_unordered(ASKED_AT_ONCE);
    while let Some(answer) = asked.next().await {
        found.extend(answer?);
    }
    if at_rest::layout(context).is_none_or(|now| now.id() != layout.id()) {
        return Err(context.not_ready("members come or go"));
    }
    *after_beside = next;
    let grace = match context.has_planted(Planted::CollectsAtOnce) {
        true => Duration::ZERO,
        false => context.config.timing.grace,
    };
    let now = context.ports.clock.now();
    let began = if grace.is_zero() { now } else { began };
    let (mut after, mut count) = (None, 0);
    loop {
        let page = page(context, after).await?;
        let Some(last) = page.last().copied() else {
            return Ok(count);
        };
        after = Some(last);
        let (listed, others): (Vec<_>, Vec<_>) = page.into_iter().partition(|chunk| found.contains(&short(*chunk)));
        context.surplus.referenced(&listed);
        let others = others.into_iter().filter(|chunk| layout.is_owner(context.me, *chunk) || beside.contains(chunk));
        let going = context.surplus.collect(others.collect(), began, now, grace);
        count += going.len();
        if !going.is_empty() {
            surplus::delete(context, going).await?;
        }
    }
}

async fn page(context: &Arc<Context>, after: Option<ChunkId>) -> Result<Vec<ChunkId>> {
    let store = context.ports.store.clone();
    context.blocking(move || store.chunk_list(after, PAGE)).await
}

/// Copies here that are not among as many as most chunks have, after `after`:
/// no more than can be asked about at once; and where to go on, at the
/// beginning when `None`. They are not all on their way out: a bucket may want
/// more copies than others do.
async fn not_owned(
    context: &Arc<Context>,
    layout: &Placed,
    mut after: Option<ChunkId>,
) -> Result<(BTreeSet<ChunkId>, Option<ChunkId>)> {
    let mut beside = BTreeSet::new();
    loop {
        let page = page(context, after).await?;
        let Some(last) = page.last().copied() else {
            return Ok((beside, None));
        };
        after = Some(last);
        for chunk in page.into_iter().filter(|chunk| !layout.is_owner(context.me, *chunk)) {
            if beside.len() >= serve::HAS_MAX {
                let last = beside.last().copied();
                return Ok((beside, last));
            }
            beside.insert(chunk);
        }
    }
}

/// All that one member says.
async fn references_of(
    context: &Arc<Context>,
    member: PeerId,
    layout: LayoutId,
    beside: &BTreeSet<ChunkId>,
) -> Result<Vec<u64>> {
    let (mut all, mut from) = (Vec::new(), ReferencesFrom::InUse(None));
    loop {
        let request = Request::References { layout, beside: beside.iter().copied().collect(), from };
        match context.call(member, request).await? {
            Response::References { chunks, next } => {
                all.extend(chunks);
                match next {
                    Some(next) => from = next,
                    None => return Ok(all),
                }
            }
            _ => return Err(context.unexpected("what it refers to")),
        }
    }
}

/// A page of what this peer knows to be referred to of the chunks of another.
pub(crate) async fn references(
    context: &Arc<Context>,
    holder: PeerId,
    layout: LayoutId,
    beside: Vec<ChunkId>,
    from: ReferencesFrom,
) -> Result<Response> {
    if beside.len() > serve::HAS_MAX {
        return Err(Error::BadFrame { what: format!("{} chunks asked about at once", beside.len()) });
    }
    let placed = context.layout().filter(|placed| placed.id() == layout);
    let placed = placed.ok_or_else(|| context.not_ready("it has another layout"))?;
    let beside: BTreeSet<ChunkId> = beside.into_iter().collect();
    let concerns = move |chunk: &ChunkId| placed.is_owner(holder, *chunk) || beside.contains(chunk);
    match from {
        ReferencesFrom::InUse(after) => {
            let page = context.in_use.page(after, REFERENCES_PAGE);
            let last = page.last().filter(|_| page.len() == REFERENCES_PAGE).copied();
            let next = last.map_or(FIRST, |last| ReferencesFrom::InUse(Some(last)));
            let chunks = page.into_iter().filter(concerns).map(short).collect();
            Ok(Response::References { chunks, next: Some(next) })
        }
        ReferencesFrom::Registers(kind, after) => {
            let store = context.ports.store.clone();
            context.blocking(move || listed(&*store, kind, after.as_ref(), &concerns)).await
        }
    }
}

/// Where registers begin.
const FIRST: ReferencesFrom = ReferencesFrom::Registers(RegisterKind::Object, None);

/// Chunks that registers of a kind list, from a place on. A value moves from a
/// name's register to one of its versions, whose kind comes later: where it is
/// not met here any more, it is met there.
fn listed(
    store: &dyn shoal_ports::Store,
    kind: RegisterKind,
    after: Option<&RegisterPlace>,
    concerns: &dyn Fn(&ChunkId) -> bool,
) -> Result<Response> {
    let entries = store.register_scan(&RegisterSpan::all(kind), after, REGISTERS_PAGE)?;
    let is_full = entries.len() == REGISTERS_PAGE;
    let (mut chunks, mut last) = (Vec::new(), None);
    for entry in entries {
        let (place, value) = (entry.key.place(), entry.value.filter(|_| lists_chunks(kind)));
        // What does not read may refer to anything: then nothing goes.
        let value: Option<NameValue> = value.map(|value| wire::decode(&value)).transpose()?;
        if let Some(manifest) = value.as_ref().and_then(NameValue::manifest) {
            chunks.extend(manifest.chunks.iter().map(|chunk| chunk.id).filter(|chunk| concerns(chunk)).map(short));
        }
        if chunks.len() >= REFERENCES_PAGE {
            return Ok(Response::References { chunks, next: Some(ReferencesFrom::Registers(kind, place)) });
        }
        last = place;
    }
    let next = match last.filter(|_| is_full) {
        Some(last) => Some(ReferencesFrom::Registers(kind, Some(last))),
        None => kind.next().map(|kind| ReferencesFrom::Registers(kind, None)),
    };
    Ok(Response::References { chunks, next })
}

fn lists_chunks(kind: RegisterKind) -> bool {
    matches!(kind, RegisterKind::Object | RegisterKind::Version)
}

/// The first bytes of a chunk's id. That two chunks share them keeps one of
/// them a while, at worst.
fn short(chunk: ChunkId) -> u64 {
    chunk.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use shoal_types::{Layout, Member, MeshId};
    use tokio::sync::mpsc;

    use super::*;
    use crate::tests::ports::Network;
    use crate::tests::{config, ports};

    /// Once each round asked about the same copies, the first that were not
    /// owned. Those of a bucket with more copies than most stay: so what came
    /// behind so many of them was never looked at, and never went.
    #[tokio::test]
    async fn of_copies_that_others_own_each_has_its_round() {
        let config = config();
        let network = Arc::new(Network::new(config.info.id, mpsc::channel(1).0));
        let context = Context::new(config, ports(network));
        let member =
            |id, weight| Member { id, name: String::new(), zone: String::new(), weight, revision: 0, since: 1 };
        let members = vec![member(PeerId::from_bytes([1; 32]), 100), member(context.me, 0)];
        let layout = Layout { mesh: MeshId::from_bytes([1; 16]), version: 1, members, previous: None, replicas: 3 };
        let layout = Placed::new(Arc::new(layout));
        let all: BTreeSet<ChunkId> = (0..2 * serve::HAS_MAX + 9).map(|n| ChunkId::of(&n.to_le_bytes())).collect();
        for chunk in &all {
            context.ports.store.chunk_put(*chunk, b"").unwrap();
        }
        let (mut asked, mut after) = (BTreeSet::new(), None);
        for round in 1..=3 {
            let (beside, next) = not_owned(&context, &layout, after).await.unwrap();
            assert!(beside.len() <= serve::HAS_MAX && next.is_none() == (round == 3));
            asked.extend(beside);
            after = next;
        }
        assert_eq!(asked, all);
    }
}

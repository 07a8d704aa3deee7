//! Registers that stand for nothing are forgotten.
//!
//! A removed name leaves its removal at all of its acceptors, so that nobody
//! takes an older value for the newest. Once nobody holds an older value the
//! removal is of no use. What makes that safe among the acceptors says
//! `shoal_register`; what is left to this file is that nobody else brings
//! anything back, and that no operation is under way which began before:
//!
//! - Members who were acceptors under an earlier layout let go of what they
//!   hold ([`sweep`]): under a settled layout, in which the acceptors know all
//!   that was agreed before. Nothing is forgotten before each member has said
//!   that it has done so under this very layout, since when no operation can
//!   have left anything there. Who is no member drops what it has when it is
//!   taken in (`former`).
//! - It takes everybody: nothing is forgotten while a member is away, and each
//!   acceptor says that it has accepted this removal before any is told to
//!   forget it. Each looks again when it does, and both only under the layout
//!   in question: so a layout that changes meanwhile meets acceptors that hold
//!   the removal, or nothing, and new ones that hold nothing.
//! - A removal is at rest for a grace period first, twice as long as any
//!   operation lives. Since when, is in memory: a restart begins anew.
//!
//! Each acceptor looks for what it can forget, one some time after the other.
//! Where not all acceptors agree they are brought to, and the next look
//! forgets the removal; if it has a new ballot then, it rests once more.
//!
//! Cost: a walk through all registers here every quarter of a grace period, a
//! call to each member if there is anything to forget; for a register two calls
//! to each of its acceptors, and a sync there, shared with others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_types::{
    Ballot, Error, LayoutId, NameValue, RegisterKey, RegisterOp, RegisterReply, Request, Response, Result, wire,
};

use super::together::{accepted_by_all, bring_together, tell_all};
use super::{accept, walk};
use crate::at_rest;
use crate::context::{Context, lock};
use crate::placed::Placed;
use crate::planted::Planted;

/// Registers forgotten at once, by all of their acceptors.
const AT_ONCE: usize = 16;

/// Registers let go of here at once: they share a sync.
const LET_GO_AT_ONCE: usize = 1_000;

/// Members asked at once whether they have let go of what others keep.
const ASKED_AT_ONCE: usize = 16;

/// Removals of which it is remembered since when they are there, some 200
/// bytes each. Others have their turn when these are gone.
const REMOVALS_MAX: usize = 100_000;

/// Under which layout all registers of which this peer is no acceptor are gone.
#[derive(Default)]
pub(crate) struct Swept(Mutex<Option<LayoutId>>);

impl Swept {
    pub(crate) fn is_done(&self, layout: LayoutId) -> bool {
        *lock(&self.0) == Some(layout)
    }
}

/// Removals, the ballots at which they were accepted here, and since when they are known.
type Removals = BTreeMap<RegisterKey, (Ballot, Duration)>;

/// Forgets for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    let mut removals = Removals::new();
    loop {
        let layout = at_rest::next_round(&context).await;
        let forgotten = look(&context, &layout, &mut removals).await;
        at_rest::log(forgotten, "removed names are forgotten", "not all that is removed is forgotten");
    }
}

/// One look at all registers here; how many are forgotten.
async fn look(context: &Arc<Context>, layout: &Placed, removals: &mut Removals) -> Result<usize> {
    let present = sweep(context, layout, removals).await?;
    *removals = present;
    let (now, grace) = (context.ports.clock.now(), context.config.timing.grace);
    let due: Vec<(RegisterKey, Ballot)> = removals
        .iter()
        .filter(|(key, (_, since))| now >= *since + grace + grace / at_rest::ROUNDS * rank(context, layout, key))
        .map(|(key, (ballot, _))| (key.clone(), *ballot))
        .collect();
    if due.is_empty() {
        return Ok(0);
    }
    if !context.has_planted(Planted::ForgetsUnasked) {
        require_swept(context, layout).await?;
    }
    let mut ends = stream::iter(due)
        .map(|(key, ballot)| async move { (forget(context, layout, &key, ballot).await, key) })
        .buffer_unordered(AT_ONCE);
    let (mut count, mut failed) = (0, None);
    while let Some((end, key)) = ends.next().await {
        match end {
            Ok(true) => {
                removals.remove(&key);
                count += 1;
            }
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(count), Err)
}

/// How many acceptors have their turn before this one.
fn rank(context: &Context, layout: &Placed, key: &RegisterKey) -> u32 {
    let acceptors = key.placed_by().map(|name| layout.acceptors(name).current).unwrap_or_default();
    acceptors.iter().take_while(|peer| **peer != context.me).count() as u32
}

/// Walks through all registers here: lets go of those of which this peer is no
/// acceptor, and gives the removals among the others.
async fn sweep(context: &Arc<Context>, layout: &Placed, known: &Removals) -> Result<Removals> {
    let now = context.ports.clock.now();
    let mut removals = Removals::new();
    let mut from = Some(walk::FIRST);
    while let Some(begin) = from {
        let (page, next) = walk::page_here(context, begin).await?;
        let (here, elsewhere): (Vec<_>, Vec<_>) = page
            .into_iter()
            .partition(|entry| entry.key.placed_by().is_some_and(|name| layout.is_acceptor(context.me, name)));
        for entry in here.into_iter().filter(|entry| is_nothing(&entry.key, entry.value.as_ref())) {
            let since = known.get(&entry.key).filter(|(ballot, _)| *ballot == entry.accepted);
            if since.is_some() || removals.len() < REMOVALS_MAX {
                removals.insert(entry.key, (entry.accepted, since.map_or(now, |(_, since)| *since)));
            }
        }
        let mut gone = stream::iter(elsewhere)
            .map(|entry| {
                let op = RegisterOp::Forget { ballot: entry.accepted };
                accept(context, layout.id(), entry.key, op)
            })
            .buffer_unordered(LET_GO_AT_ONCE);
        while let Some(end) = gone.next().await {
            end?;
        }
        from = next;
    }
    *lock(&context.swept.0) = Some(layout.id());
    Ok(removals)
}

/// Whether a register's value is as good as none.
fn is_nothing(key: &RegisterKey, value: Option<&Bytes>) -> bool {
    match (key, value) {
        (RegisterKey::Layout(..), _) => false,
        (_, None) => true,
        (RegisterKey::Object(_) | RegisterKey::Version(..), Some(value)) => {
            matches!(wire::decode(value), Ok(NameValue::Removed { .. } | NameValue::Gone { .. }))
        }
        (RegisterKey::Bucket(_), Some(_)) => false,
    }
}

/// An error unless all members have let go of what others keep.
async fn require_swept(context: &Arc<Context>, layout: &Placed) -> Result<()> {
    let asked = stream::iter(layout.everyone()).map(|peer| async move {
        match context.call(peer, Request::RegistersSwept(layout.id())).await? {
            Response::Swept(true) => Ok(()),
            Response::Swept(false) => Err(Error::NotReady { peer, why: "it has registers that others keep".into() }),
            _ => Err(context.unexpected("whether it has let go of registers")),
        }
    });
    asked.buffer_unordered(ASKED_AT_ONCE).try_for_each(|()| std::future::ready(Ok(()))).await
}

/// Has all acceptors forget a removal that all of them have accepted at this
/// ballot; whether they have.
async fn forget(context: &Arc<Context>, layout: &Placed, key: &RegisterKey, ballot: Ballot) -> Result<bool> {
    if !context.has_planted(Planted::ForgetsUnasked) {
        let all = accepted_by_all(context, layout, key).await?;
        if all.iter().any(|accepted| accepted.ballot != ballot) {
            return bring_together(context, layout, key).await.map(|_| false);
        }
    }
    let mut gone = true;
    for (_, answer) in tell_all(context, layout, key, &RegisterOp::Forget { ballot }).await {
        gone &= answer? == RegisterReply::Forgotten(true);
    }
    Ok(gone)
}

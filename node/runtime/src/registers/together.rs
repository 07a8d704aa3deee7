//! All acceptors of a register at once, where a majority is not enough.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use shoal_register::Decision;
use shoal_types::{AcceptReply, Ballot, PeerId, RegisterKey, RegisterOp, RegisterReply, Request, Response, Result};

use super::Begin;
use crate::context::Context;
use crate::names;
use crate::placed::Placed;

/// What an acceptor has accepted last.
pub(super) struct Accepted {
    pub(super) by: PeerId,
    pub(super) ballot: Ballot,
    pub(super) value: Option<Bytes>,
}

/// What all acceptors have accepted last. An error unless each of them answers,
/// under that layout.
pub(super) async fn accepted_by_all(
    context: &Arc<Context>,
    layout: &Placed,
    key: &RegisterKey,
) -> Result<Vec<Accepted>> {
    let mut all = Vec::new();
    for (by, answer) in tell_all(context, layout, key, &RegisterOp::Read).await {
        match answer? {
            RegisterReply::Read { accepted, value } => all.push(Accepted { by, ballot: accepted, value }),
            _ => return Err(context.unexpected("what it has accepted")),
        }
    }
    Ok(all)
}

/// Has all acceptors of a settled layout hold the newest value; whether any
/// took it that did not. Whoever does not answer is passed over.
///
/// What a majority has accepted is chosen: the others are told to accept the
/// same, by the ballot at which it was, as its proposer told them when they
/// did not hear it. Where there is no such majority, or one has promised
/// something higher, a round of its own writes anew what the register holds.
///
/// Cost: a call to each acceptor, one more and a sync to those who hold something older.
pub(super) async fn bring_together(context: &Arc<Context>, layout: &Placed, key: &RegisterKey) -> Result<bool> {
    let answers = tell_all(context, layout, key, &RegisterOp::Read).await;
    let majority = answers.len() / 2 + 1;
    let mut heard = Vec::with_capacity(answers.len());
    for (by, answer) in answers {
        match answer {
            Ok(RegisterReply::Read { accepted, value }) => heard.push(Accepted { by, ballot: accepted, value }),
            Ok(_) => return Err(context.unexpected("what it has accepted")),
            Err(error) => tracing::debug!(%error, peer = %by.short(), "passed over"),
        }
    }
    let Some(newest) = heard.iter().max_by_key(|accepted| accepted.ballot) else { return Ok(false) };
    let holds_it = |accepted: &&Accepted| accepted.ballot == newest.ballot;
    let stale: Vec<PeerId> = heard.iter().filter(|other| !holds_it(other)).map(|other| other.by).collect();
    if stale.is_empty() {
        return Ok(false);
    }
    if heard.iter().filter(holds_it).count() >= majority {
        let op = RegisterOp::Accept { ballot: newest.ballot, value: newest.value.clone() };
        let told = tell(context, layout, key, &op, stale).await;
        if told.into_iter().all(|(_, answer)| answer == Ok(RegisterReply::Accept(AcceptReply::Accepted))) {
            return Ok(true);
        }
    }
    names::propose(context, key, Begin::Preparing, |found| Decision::Write(found.cloned())).await?;
    Ok(true)
}

/// Tells all acceptors under that layout, and no other.
pub(super) async fn tell_all(
    context: &Arc<Context>,
    layout: &Placed,
    key: &RegisterKey,
    op: &RegisterOp,
) -> Vec<(PeerId, Result<RegisterReply>)> {
    let acceptors = key.placed_by().map(|name| layout.acceptors(name).current).unwrap_or_default();
    tell(context, layout, key, op, acceptors).await
}

async fn tell(
    context: &Arc<Context>,
    layout: &Placed,
    key: &RegisterKey,
    op: &RegisterOp,
    acceptors: Vec<PeerId>,
) -> Vec<(PeerId, Result<RegisterReply>)> {
    let told = acceptors.into_iter().map(|peer| async move {
        let request = Request::Register { layout: layout.id(), key: key.clone(), op: op.clone() };
        let reply = match context.call(peer, request).await {
            Ok(Response::Register(reply)) => Ok(reply),
            Ok(_) => Err(context.unexpected("an operation on a register")),
            Err(error) => Err(error),
        };
        (peer, reply)
    });
    join_all(told).await
}

//! The driver of one operation: carries out what a [`Proposal`] says.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use shoal_register::{Action, Decision, Failure, Outcome, Proposal};
use shoal_types::{Ballot, Error, LayoutId, PeerId, RegisterKey, Request, Response, Result};

use crate::context::Context;
use crate::planted::Planted;

/// The acceptors of a register, a majority of each group of which makes a
/// quorum, and the layout under which they are that.
pub(crate) struct Acceptors {
    pub(crate) groups: Vec<Vec<PeerId>>,
    pub(crate) layout: LayoutId,
}

/// How an operation begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With a question: it mostly changes nothing.
    Asking,
    /// With a promise: it mostly writes.
    Preparing,
}

/// Runs one operation on a register among its `acceptors`. Where the layout
/// moves under it, it goes on among those whom it is told then; if there are
/// none to be told, `StaleLayout` is its end.
pub(crate) async fn operate(
    context: &Arc<Context>,
    key: RegisterKey,
    acceptors: Acceptors,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    begin: Begin,
    change: impl FnMut(Option<&Bytes>) -> Decision + Send,
) -> Result<Outcome> {
    let what = format!("'{key}'");
    let plant = |groups| if context.has_planted(Planted::QuorumOfOne) { first_live(context, groups) } else { groups };
    let Acceptors { groups, layout } = acceptors;
    let mut proposal = Proposal::new(context.me, plant(groups), context.random(), change).above(floor(layout));
    if begin == Begin::Asking {
        proposal = proposal.asking();
    }
    let work = drive(context, &key, layout, moved, &plant, &mut proposal);
    let result = context.timeout(&what, context.config.timing.name, work).await;
    match (&result, proposal.lacks_quorum()) {
        (Err(Error::Timeout { .. }), Some(failure)) => Err(failed(&key, failure)),
        _ => result,
    }
}

async fn drive(
    context: &Arc<Context>,
    key: &RegisterKey,
    mut layout: LayoutId,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    plant: &(dyn Fn(Vec<Vec<PeerId>>) -> Vec<Vec<PeerId>> + Send + Sync),
    proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision + Send>,
) -> Result<Outcome> {
    let (answers, mut incoming) = mpsc::unbounded();
    let (mut stale, mut is_stale) = (None, false);
    let mut actions = proposal.start();
    loop {
        for action in actions {
            match action {
                Action::Send { step, to, op } => {
                    let (context, answers, key) = (context.clone(), answers.clone(), key.clone());
                    context.clone().spawn("register op", async move {
                        let request = Request::Register { layout, key, op };
                        let answer = context.call(to, request).await;
                        let _ = answers.unbounded_send(Some((step, to, answer)));
                    });
                }
                Action::Retry { after_ms } => {
                    let (context, answers) = (context.clone(), answers.clone());
                    context.clone().spawn("register retry", async move {
                        context.ports.clock.sleep(Duration::from_millis(after_ms)).await;
                        let _ = answers.unbounded_send(None);
                    });
                }
                Action::Done(outcome) => return Ok(outcome),
                Action::Failed(failure) => match (stale.take(), moved) {
                    (Some(_), Some(_)) => is_stale = true,
                    (Some(stale), None) => return Err(stale),
                    (None, _) => return Err(failed(key, failure)),
                },
            }
        }
        if let (true, Some(moved)) = (std::mem::take(&mut is_stale), moved) {
            context.ports.clock.sleep(context.config.timing.tick).await;
            let next = moved()?;
            layout = next.layout;
            if context.has_planted(Planted::ForgetsOwnWrite) {
                proposal.forget();
            }
            actions = proposal.regroup(plant(next.groups), floor(layout));
            continue;
        }
        actions = match incoming.next().map(Option::flatten).await {
            Some((step, from, Ok(Response::Register(reply)))) => proposal.on_reply(step, from, reply),
            Some((step, from, Ok(_))) => proposal.on_failure(step, from),
            Some((step, from, Err(error))) => {
                if matches!(error, Error::StaleLayout { .. }) {
                    stale = Some(error);
                }
                proposal.on_failure(step, from)
            }
            None => proposal.on_retry(),
        };
    }
}

/// Below every ballot under a layout version, and above those under all
/// versions before it.
fn floor(layout: LayoutId) -> Ballot {
    Ballot { counter: layout.version.min(u64::from(u32::MAX)) << 32, proposer: PeerId::from_bytes([0; 32]) }
}

/// A planted bug: a majority of one.
fn first_live(context: &Context, groups: Vec<Vec<PeerId>>) -> Vec<Vec<PeerId>> {
    let first = |group: Vec<PeerId>| group.into_iter().find(|peer| context.is_live(*peer)).into_iter().collect();
    groups.into_iter().map(first).collect()
}

fn failed(key: &RegisterKey, failure: Failure) -> Error {
    match failure {
        Failure::NoQuorum { answered, needed } => Error::NoQuorum { what: format!("'{key}'"), answered, needed },
        Failure::Contended { rounds } => Error::Conflict {
            name: key.to_string(),
            found: format!("others changed it at the same time, {rounds} times"),
        },
        Failure::Unknown => Error::Conflict {
            name: key.to_string(),
            found: format!("{}: peers went away, or others changed it, in the middle", Error::IN_DOUBT),
        },
    }
}

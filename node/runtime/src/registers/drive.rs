//! The driver of one operation: carries out what a [`Proposal`] says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{FutureExt, StreamExt};
use shoal_register::{Action, Decision, Failure, IsBuiltOn, Outcome, Proposal};
use shoal_types::{Ballot, Error, LayoutId, PeerId, RegisterKey, Request, Response, Result};

use crate::context::{Context, lock};
use crate::moment::Moment;
use crate::planted::Planted;
use crate::registers::queue::{self, Turn};

/// The acceptors of a register, a majority of each group of which makes a
/// quorum, and the layout under which they are that.
pub(crate) struct Acceptors {
    pub(crate) groups: Vec<Vec<PeerId>>,
    pub(crate) layout: LayoutId,
}

/// The highest ballot that proposals of this peer have met under a layout.
/// Whoever begins above it is not refused for the horizon of an acceptor that
/// has forgotten other registers.
#[derive(Default)]
pub(crate) struct Met(Mutex<Option<(LayoutId, Ballot)>>);

impl Met {
    /// Of the ballots under one version those are passed on from register to
    /// register that are below the half: so a version has more than a mesh can use up.
    const COUNTER_MAX: u64 = 1 << 31;

    /// Above what a proposal under that layout begins.
    fn above(&self, layout: LayoutId) -> Ballot {
        let met = lock(&self.0).filter(|(known, _)| *known == layout);
        met.map_or(floor(layout), |(_, met)| met.max(floor(layout)))
    }

    fn note(&self, layout: LayoutId, met: Ballot) {
        let mut known = lock(&self.0);
        let is_in_range = met.counter.saturating_sub(floor(layout).counter) < Self::COUNTER_MAX;
        let is_later = known.is_none_or(|(of, known)| of != layout || known < met);
        if is_in_range && is_later {
            *known = Some((layout, met));
        }
    }
}

/// How an operation begins; of several that go together, as the last one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Begin {
    /// With a question: it mostly changes nothing.
    Asking,
    /// With a promise, at once: what it writes depends on what was read before,
    /// and that changes while it waits for a turn. Refused, it asks whether it has,
    /// and what became of what it wrote.
    Racing,
    /// With a promise: it mostly writes. Where others do, it waits for its turn.
    Preparing,
    /// With a promise: it is this peer's turn ([`Turn`]).
    InTurn,
}

/// How an operation is proposed.
pub(crate) struct Proposing {
    pub(crate) begin: Begin,
    pub(crate) is_built_on: IsBuiltOn,
}

/// Runs one operation on a register among its `acceptors`. Where the layout
/// moves under it, it goes on among those whom it is told then; if there are
/// none to be told, `StaleLayout` is its end.
pub(crate) async fn operate(
    context: &Arc<Context>,
    key: RegisterKey,
    acceptors: Acceptors,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    Proposing { begin, is_built_on }: Proposing,
    change: impl FnMut(Option<&Bytes>) -> Decision + Send,
) -> Result<Outcome> {
    let what = format!("'{key}'");
    let Acceptors { groups, layout } = acceptors;
    let above = context.met.above(layout);
    let proposal = Proposal::new(context.me, plant(context, groups), context.random(), change);
    let mut proposal = proposal.above(above).telling(is_built_on);
    match begin {
        Begin::Asking => proposal = proposal.asking(),
        Begin::Racing => proposal = proposal.asking_again(),
        Begin::Preparing | Begin::InTurn => {}
    }
    proposal.end_below(ceiling(layout));
    let limit = limit(context);
    let (began, until) = (Moment::now(context), context.ports.clock.now() + limit);
    // The clock that the limit goes by may have slept.
    let is_over = || context.ports.clock.now() > until || began.age(context) > context.config.timing.grace / 2;
    let mut refusal = None;
    let work = drive(context, &key, layout, moved, begin, &mut proposal, &mut refusal, &is_over);
    let result = context.timeout(&what, limit, work).await;
    let result = match (&result, proposal.lacks_quorum()) {
        (Err(Error::Timeout { .. }), Some(failure)) => Err(failed(&key, failure)),
        _ => result,
    };
    match (result, refusal) {
        // They are there, and could not write.
        (Err(Error::NoQuorum { .. }), Some(refusal)) => Err(refusal),
        (result, _) => result,
    }
}

/// What a proposal under way is told.
#[expect(clippy::large_enum_variant, reason = "nearly all of them are answers")]
enum Heard {
    Answer(u32, PeerId, Result<Response>),
    Retry {
        turn: Option<Turn>,
        /// It has waited for one, and nobody gave it.
        is_vain: bool,
    },
}

/// Others make way for this operation.
struct InTurn {
    until: Duration,
    /// Unless its caller has it.
    _own: Option<Turn>,
}

/// What an operation may take. Shorter than a removal is at rest before it is
/// forgotten: whatever was done about what this one has in doubt can be told
/// until it is over.
pub(super) fn limit(context: &Context) -> Duration {
    context.config.timing.name.min(context.config.timing.grace / 2)
}

/// How often an operation queues up.
const QUEUES_UP_MAX: u32 = 2;

#[expect(clippy::too_many_arguments, reason = "it is one function with the one before")]
async fn drive(
    context: &Arc<Context>,
    key: &RegisterKey,
    mut layout: LayoutId,
    moved: Option<&(dyn Fn() -> Result<Acceptors> + Send + Sync)>,
    begin: Begin,
    proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision + Send>,
    refusal: &mut Option<Error>,
    is_over: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Outcome> {
    let (answers, mut incoming) = mpsc::unbounded();
    let (mut stale, mut is_stale) = (None, false);
    // Nobody queues up for a layout.
    let mut queues_up =
        if moved.is_some() && !matches!(begin, Begin::Racing | Begin::InTurn) { QUEUES_UP_MAX } else { 0 };
    let begun = |own| InTurn { until: context.ports.clock.now() + queue::TURN, _own: own };
    let mut turn = match begin {
        Begin::Preparing if queues_up > 0 => queue::if_crowded(context, key).await.map(|turn| begun(Some(turn))),
        Begin::InTurn => Some(begun(None)),
        Begin::Asking | Begin::Racing | Begin::Preparing => None,
    };
    if turn.is_some() {
        proposal.begin_turn();
    }
    let mut actions = proposal.start();
    loop {
        context.met.note(layout, proposal.met());
        for action in actions {
            match action {
                Action::Send { step, to, op } => {
                    let (context, answers, key) = (context.clone(), answers.clone(), key.clone());
                    context.clone().spawn("register op", async move {
                        let request = Request::Register { layout, key, op };
                        let answer = context.call(to, request).await;
                        let _ = answers.unbounded_send(Heard::Answer(step, to, answer));
                    });
                }
                Action::Retry { after_ms } => {
                    let (context, answers, key) = (context.clone(), answers.clone(), key.clone());
                    if turn.as_ref().is_some_and(|turn| context.ports.clock.now() >= turn.until) {
                        proposal.end_turn();
                        turn = None;
                    }
                    let queues_now = turn.is_none() && proposal.was_refused() && queues_up > 0;
                    queues_up -= u32::from(queues_now);
                    context.clone().spawn("register retry", async move {
                        let turn = if queues_now { queue::among_others(&context, &key).await } else { None };
                        let is_vain = queues_now && turn.is_none();
                        if turn.is_none() {
                            context.ports.clock.sleep(Duration::from_millis(after_ms)).await;
                        }
                        let _ = answers.unbounded_send(Heard::Retry { turn, is_vain });
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
            proposal.end_below(ceiling(layout));
            actions = proposal.regroup(plant(context, next.groups), floor(layout));
            continue;
        }
        let nothing = Heard::Retry { turn: None, is_vain: false };
        let heard = incoming.next().map(|heard| heard.unwrap_or(nothing)).await;
        if is_over() {
            // This process or machine stood still: its time was up before it could hear of it.
            return Err(Error::Timeout { what: format!("'{key}'"), ms: 0 });
        }
        actions = match heard {
            Heard::Answer(step, from, Ok(Response::Register(reply))) => proposal.on_reply(step, from, reply),
            Heard::Answer(step, from, Ok(_)) => proposal.on_failure(step, from),
            Heard::Answer(step, from, Err(error)) => {
                match error {
                    Error::StaleLayout { .. } => stale = Some(error),
                    Error::DiskFull { .. } | Error::DiskFailed { .. } => *refusal = Some(error),
                    _ => {}
                }
                proposal.on_failure(step, from)
            }
            Heard::Retry { turn: given, is_vain } => {
                if is_vain {
                    queues_up = 0;
                }
                if given.is_some() {
                    turn = Some(begun(given));
                    proposal.begin_turn();
                }
                proposal.on_retry()
            }
        };
    }
}

/// Below every ballot under a layout version, and above those under all
/// versions before it.
pub(crate) fn floor(layout: LayoutId) -> Ballot {
    Ballot { counter: layout.version.min(u64::from(u32::MAX)) << 32, proposer: PeerId::from_bytes([0; 32]) }
}

/// Above every counter of a ballot under a layout version.
fn ceiling(layout: LayoutId) -> u64 {
    floor(layout).counter.saturating_add(u64::from(u32::MAX))
}

/// The groups, unless a bug is planted: a majority of one.
fn plant(context: &Context, groups: Vec<Vec<PeerId>>) -> Vec<Vec<PeerId>> {
    if !context.has_planted(Planted::QuorumOfOne) {
        return groups;
    }
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

#[cfg(test)]
mod tests {
    use shoal_types::MeshId;

    use super::*;

    #[test]
    fn what_was_met_under_one_layout_is_nothing_to_another_and_never_above_the_next() {
        let layout = |version| LayoutId { mesh: MeshId::from_bytes([1; 16]), version };
        let at = |version, counter| Ballot { counter: floor(layout(version)).counter + counter, ..floor(layout(1)) };
        let met = Met::default();
        assert_eq!(met.above(layout(3)), floor(layout(3)));
        met.note(layout(3), at(3, 9));
        met.note(layout(3), at(3, 4));
        assert_eq!(met.above(layout(3)), at(3, 9));
        assert_eq!(met.above(layout(4)), floor(layout(4)));
        // A register with a ballot beyond the half is dear by itself, and makes no other one so.
        met.note(layout(3), at(3, Met::COUNTER_MAX));
        assert_eq!(met.above(layout(3)), at(3, 9));
        met.note(layout(4), at(4, 1));
        assert_eq!(met.above(layout(4)), at(4, 1));
    }
}

use std::sync::Arc;

use bytes::Bytes;
use shoal_register::{Decision, Ending, Outcome};
use shoal_types::{Error, ObjectName, RegisterKey, Result};

use super::{Change, Waiting};
use crate::context::Context;
use crate::history;
use crate::moment::Moment;
use crate::names::{found, propose};
use crate::planted::Planted;
use crate::registers::{self, Begin};

/// How often a change meets something else than what it has put into the
/// history, before it gives up.
const TRIES: u32 = 32;

/// Makes changes one after another, each of which puts what it replaces into
/// the history first.
pub(super) async fn each(context: &Arc<Context>, name: &ObjectName, changes: Vec<Waiting>) {
    for Waiting { change, is_kept, done, .. } in changes {
        // Nobody waits any more for the answer of one that has not begun: it does not happen.
        if !done.is_canceled() {
            let _ = done.send(one(context, name, is_kept, change).await);
        }
    }
}

/// Costs a read, a write of the history, and the write itself.
async fn one(context: &Arc<Context>, name: &ObjectName, is_kept: bool, mut change: Change) -> Result<Outcome> {
    let key = RegisterKey::Object(name.clone());
    for _ in 0..TRIES {
        let turn = registers::if_crowded(context, &key).await;
        let begin = if turn.is_some() { Begin::InTurn } else { Begin::Racing };
        let began = Moment::now(context);
        let before = found(context, name).await?;
        let ending = match change(before.as_ref()) {
            Decision::Write(_) => Ending::Written,
            Decision::Leave => Ending::Left,
            Decision::Refuse => Ending::Refused,
        };
        if ending != Ending::Written {
            return Ok(Outcome { value: before, ending });
        }
        let replaced = before.as_ref().filter(|_| is_kept);
        let is_late = context.has_planted(Planted::KeepsHistoryLate);
        if let (Some(replaced), false) = (replaced, is_late) {
            history::keep(context, name, replaced, began).await?;
        }
        // Where this machine slept, what it has kept may not be there any more.
        let has_slept = || began.age(context) > context.config.timing.name * 2;
        let mut has_moved = false;
        let swap = |now: Option<&Bytes>| {
            has_moved = now != before.as_ref() || has_slept();
            if has_moved { Decision::Refuse } else { change(now) }
        };
        let outcome = propose(context, &key, begin, swap).await?;
        if outcome.ending != Ending::Refused || !has_moved {
            if let (Some(replaced), true) = (replaced, is_late) {
                history::keep(context, name, replaced, began).await?;
            }
            // It replaced that later than it has kept it for.
            if let (Some(replaced), Ending::Written, true) = (replaced, outcome.ending, has_slept())
                && let Err(error) = history::keep(context, name, replaced, began).await
            {
                tracing::info!(%name, %error, "what was replaced is in the history for a shorter time");
            }
            return Ok(outcome);
        }
        registers::note_crowded(context, &key);
    }
    Err(Error::Conflict { name: name.to_string(), found: format!("others changed it at the same time, {TRIES} times") })
}

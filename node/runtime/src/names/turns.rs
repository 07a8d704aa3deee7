//! Writes of one name that come together go together.
//!
//! Two proposals for one register that run at the same time refuse each
//! other's ballots. So of each name a peer runs one at a time; what comes
//! meanwhile waits, and is the next one, all of it: each change is applied to
//! what the one before it left, and the last value is written. They are in
//! that order for everybody, and nobody sees what is in between.
//!
//! In a bucket with a history everything that a name stood for can be read
//! later. There each change is made by itself (`alone`).

mod alone;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::channel::oneshot;
use shoal_register::{Decision, Ending, Outcome};
use shoal_types::{Error, ObjectName, RegisterKey, Result};

use super::{Begin, propose};
use crate::buckets::{self, Believed};
use crate::context::{Context, lock};

/// Changes of one name that go together.
const TOGETHER_MAX: usize = 256;

/// Changes that wait for one name; more are refused as busy.
const WAITING_MAX: usize = 4_096;

type Change = Box<dyn FnMut(Option<&Bytes>) -> Decision + Send>;

/// Who waits for which name; a name that nobody changes is not in it.
#[derive(Default)]
pub(crate) struct Turns(Mutex<BTreeMap<ObjectName, VecDeque<Waiting>>>);

struct Waiting {
    change: Change,
    /// Whether what it replaces goes into the history, where there is one.
    is_kept: bool,
    begin: Begin,
    done: oneshot::Sender<Result<Outcome>>,
}

/// Changes a name when it is its turn. Costs nothing when nobody else does.
pub(super) async fn take(
    context: &Arc<Context>,
    name: &ObjectName,
    is_kept: bool,
    begin: Begin,
    change: Change,
) -> Result<Outcome> {
    let (done, outcome) = oneshot::channel();
    let waiting = Waiting { change, is_kept, begin, done };
    let is_first = match lock(&context.turns.0).entry(name.clone()) {
        Entry::Vacant(free) => {
            free.insert(VecDeque::from([waiting]));
            true
        }
        Entry::Occupied(queue) if queue.get().len() >= WAITING_MAX => {
            return Err(Error::Busy { peer: context.me, retry_after_ms: 100 });
        }
        Entry::Occupied(mut queue) => {
            queue.get_mut().push_back(waiting);
            false
        }
    };
    if is_first {
        let (context, name) = (context.clone(), name.clone());
        context.clone().spawn("name's turns", async move {
            while let Some(mut changes) = next(&context, &name) {
                while !changes.is_empty() {
                    changes = make(&context, &name, changes).await;
                }
            }
        });
    }
    // Who waits still is not forgotten: it ended while it was about that change.
    let why = || "it stopped in the middle of a change".into();
    let turn = async { outcome.await.map_err(|_| Error::Unreachable { peer: context.me, why: why() })? };
    // The turn before this one, and this one.
    context.timeout(&format!("'{name}'"), context.config.timing.name * 2, turn).await
}

/// Those whose turn it is; `None` when nobody waits any more.
fn next(context: &Context, name: &ObjectName) -> Option<Vec<Waiting>> {
    let mut turns = lock(&context.turns.0);
    let queue = turns.get_mut(name)?;
    // Nobody waits for the answer of one that has given up: it did not happen.
    queue.retain(|waiting| !waiting.done.is_canceled());
    let changes: Vec<Waiting> = queue.drain(..queue.len().min(TOGETHER_MAX)).collect();
    if changes.is_empty() {
        turns.remove(name);
        return None;
    }
    Some(changes)
}

/// Makes changes as the bucket is kept. Gives back those that were not made,
/// since how it is kept may be another way by now.
async fn make(context: &Arc<Context>, name: &ObjectName, changes: Vec<Waiting>) -> Vec<Waiting> {
    match buckets::believed(context, &name.bucket_name()).await {
        Ok(believed) if believed.settings.history_s > 0 => alone::each(context, name, changes).await,
        Ok(believed) => return together(context, name, &believed, changes).await,
        Err(error) => {
            for Waiting { done, .. } in changes {
                let _ = done.send(Err(error.clone()));
            }
        }
    }
    Vec::new()
}

/// Makes changes in one operation, all or none. It replaces nothing that it
/// finds once whoever gives the bucket a history waits no longer: this machine
/// may have slept in the middle of it.
async fn together(
    context: &Arc<Context>,
    name: &ObjectName,
    believed: &Believed,
    mut changes: Vec<Waiting>,
) -> Vec<Waiting> {
    let begin = changes.iter().map(|waiting| waiting.begin).max();
    let (mut tries, key, mut is_late) = (Tries::default(), RegisterKey::Object(name.clone()), false);
    let change = |found: Option<&Bytes>| {
        is_late = believed.is_outlived(context);
        match is_late {
            true => Decision::Refuse,
            false => tries.run(changes.iter_mut().map(|waiting| &mut waiting.change), found),
        }
    };
    let begin = begin.unwrap_or(Begin::Preparing);
    let result = propose(context, &key, begin, change).await;
    if is_late && result.as_ref().is_ok_and(|outcome| outcome.ending == Ending::Refused) {
        changes.retain(|waiting| !waiting.done.is_canceled());
        return changes;
    }
    for (nth, Waiting { done, .. }) in changes.into_iter().enumerate() {
        // Whoever asked may have given up.
        let _ = done.send(result.clone().and_then(|outcome| tries.of(nth, name, &outcome)));
    }
    Vec::new()
}

/// What the changes came to, each time that they were applied to something.
#[derive(Default)]
struct Tries(Vec<Try>);

struct Try {
    /// What the name stands for after all of them.
    last: Option<Bytes>,
    wrote: bool,
    each: Vec<Outcome>,
}

impl Tries {
    fn run<'a>(&mut self, changes: impl IntoIterator<Item = &'a mut Change>, found: Option<&Bytes>) -> Decision {
        let mut now = found.cloned();
        let mut each = Vec::new();
        for change in changes {
            let ending = match change(now.as_ref()) {
                Decision::Write(value) => {
                    now = value;
                    Ending::Written
                }
                Decision::Leave => Ending::Left,
                Decision::Refuse => Ending::Refused,
            };
            each.push(Outcome { value: now.clone(), ending });
        }
        let wrote = each.iter().any(|outcome| outcome.ending == Ending::Written);
        self.0.push(Try { last: now.clone(), wrote, each });
        if wrote { Decision::Write(now) } else { Decision::Leave }
    }

    /// The outcome of the `nth` change, when that of all of them is `whole`.
    fn of(&self, nth: usize, name: &ObjectName, whole: &Outcome) -> Result<Outcome> {
        let wrote = whole.ending == Ending::Written;
        let mut fitting = self.0.iter().rev().filter(|each| each.wrote == wrote && each.last == whole.value);
        let outcome = fitting.next().and_then(|each| each.each.get(nth));
        let outcome = outcome.ok_or_else(|| Error::bug("an outcome that no try had"))?;
        // Which of two tries it was cannot be told from their last value.
        if fitting.any(|other| other.each.get(nth).is_none_or(|other| other.ending != outcome.ending)) {
            return Err(Error::Conflict {
                name: name.to_string(),
                found: format!("{}: others changed it at the same time", Error::IN_DOUBT),
            });
        }
        Ok(outcome.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(value.as_bytes()))
    }

    fn put(value: &'static str) -> Change {
        Box::new(move |_| Decision::Write(text(value)))
    }

    fn swap(expected: &'static str, value: &'static str) -> Change {
        Box::new(
            move |found| if found == text(expected).as_ref() { Decision::Write(text(value)) } else { Decision::Refuse },
        )
    }

    fn name() -> ObjectName {
        "b/k".parse().unwrap()
    }

    #[test]
    fn each_change_meets_what_the_one_before_it_left() {
        let mut tries = Tries::default();
        let mut changes =
            vec![put("a"), swap("a", "b"), swap("a", "c"), Box::new(|_: Option<&Bytes>| Decision::Leave) as Change];
        assert_eq!(tries.run(&mut changes, None), Decision::Write(text("b")));
        let whole = Outcome { value: text("b"), ending: Ending::Written };
        let of = |nth| tries.of(nth, &name(), &whole).unwrap();
        assert_eq!(of(0), Outcome { value: text("a"), ending: Ending::Written });
        assert_eq!(of(1), Outcome { value: text("b"), ending: Ending::Written });
        assert_eq!(of(2), Outcome { value: text("b"), ending: Ending::Refused });
        assert_eq!(of(3), Outcome { value: text("b"), ending: Ending::Left });
    }

    #[test]
    fn changes_that_write_nothing_write_nothing_together() {
        let mut tries = Tries::default();
        let mut changes = vec![swap("x", "b"), swap("y", "c")];
        assert_eq!(tries.run(&mut changes, text("z").as_ref()), Decision::Leave);
        let whole = Outcome { value: text("z"), ending: Ending::Left };
        assert_eq!(tries.of(1, &name(), &whole).unwrap().ending, Ending::Refused);
    }

    #[test]
    fn of_two_tries_that_one_counts_which_left_what_was_found() {
        let mut tries = Tries::default();
        let mut changes = vec![swap("x", "mine")];
        tries.run(&mut changes, text("x").as_ref());
        tries.run(&mut changes, text("theirs").as_ref());
        // The first try took effect after all.
        let first = Outcome { value: text("mine"), ending: Ending::Written };
        assert_eq!(tries.of(0, &name(), &first).unwrap().ending, Ending::Written);
        let second = Outcome { value: text("theirs"), ending: Ending::Left };
        assert_eq!(tries.of(0, &name(), &second).unwrap().ending, Ending::Refused);
    }

    #[test]
    fn where_two_tries_left_the_same_only_what_both_say_is_said() {
        let mut tries = Tries::default();
        let mut changes = vec![swap("x", "mine"), put("last")];
        tries.run(&mut changes, text("x").as_ref());
        tries.run(&mut changes, text("theirs").as_ref());
        let whole = Outcome { value: text("last"), ending: Ending::Written };
        assert_eq!(tries.of(1, &name(), &whole).unwrap().ending, Ending::Written);
        assert!(tries.of(0, &name(), &whole).unwrap_err().to_string().contains("unknown"));
    }
}

//! What clients asked of names, when, and what they were told.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use shoal_gateway::ClientError;
use shoal_register::linearizability::{Checker, Kind, Op, Value, Verdict, contradiction};

/// What is asked of a name. Every put has a content of its own, which is a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Get,
    Put {
        new: u64,
    },
    PutIfAbsent {
        new: u64,
    },
    PutIfMatch {
        expected: u64,
        new: u64,
    },
    Remove,
    /// Only while it has the ETag of that content.
    RemoveVersion {
        expected: u64,
    },
}

impl Asked {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put { .. } => "put",
            Self::PutIfAbsent { .. } => "put if absent",
            Self::PutIfMatch { .. } => "put if match",
            Self::Remove => "remove",
            Self::RemoveVersion { .. } => "remove if match",
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A get's.
    Saw(Value),
    /// It changed the name.
    Done,
    /// There was nothing to remove.
    Absent,
    /// The condition did not hold, because the name stood for this.
    Refused(Value),
    /// It certainly did not happen.
    Failed(ClientError),
    /// Nobody knows whether it happened, or will.
    Unknown(String),
    /// What nobody may ever be told.
    Odd(String),
}

impl Answer {
    /// Whether it says what came of it.
    pub(crate) const fn is_certain(&self) -> bool {
        !matches!(self, Self::Failed(_) | Self::Unknown(_) | Self::Odd(_))
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Saw(Some(_)) => "saw something",
            Self::Saw(None) => "saw nothing",
            Self::Done => "done",
            Self::Absent => "absent",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
            Self::Unknown(_) => "unknown",
            Self::Odd(_) => "odd",
        }
    }
}

/// One question and its answer.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: usize,
    /// At which peer.
    pub(crate) place: usize,
    pub(crate) asked: Asked,
    pub(crate) answer: Answer,
    /// In ns since the run began, by one clock.
    pub(crate) invoked: u64,
    pub(crate) returned: u64,
}

impl Event {
    /// The same for the checker; `None` when it says nothing of the name.
    fn op(&self) -> Option<Op> {
        let kind = match (self.asked, &self.answer) {
            (Asked::Get, Answer::Saw(saw)) => Kind::Read { saw: *saw },
            (Asked::Put { new }, Answer::Done | Answer::Unknown(_)) => Kind::Write { new },
            (Asked::PutIfAbsent { new }, Answer::Done | Answer::Unknown(_)) => Kind::Swap { expected: None, new },
            (Asked::PutIfAbsent { .. }, Answer::Refused(saw)) => Kind::Refused { expected: None, saw: *saw },
            (Asked::PutIfMatch { expected, new }, Answer::Done | Answer::Unknown(_)) => {
                Kind::Swap { expected: Some(expected), new }
            }
            (Asked::Remove, Answer::Done) => Kind::Remove { was_there: Some(true) },
            (Asked::Remove, Answer::Absent) => Kind::Remove { was_there: Some(false) },
            (Asked::Remove, Answer::Unknown(_)) => Kind::Remove { was_there: None },
            (Asked::RemoveVersion { expected }, Answer::Done | Answer::Unknown(_)) => Kind::RemoveVersion { expected },
            (Asked::RemoveVersion { .. }, Answer::Absent) => Kind::Read { saw: None },
            (Asked::PutIfMatch { expected, .. } | Asked::RemoveVersion { expected }, Answer::Refused(saw)) => {
                Kind::Refused { expected: Some(expected), saw: *saw }
            }
            _ => return None,
        };
        let returned = (!matches!(self.answer, Answer::Unknown(_))).then_some(self.returned);
        Some(Op { invoked: self.invoked, returned, kind })
    }

    /// Whether a quorum has answered.
    fn is_decided(&self) -> bool {
        self.op().is_some_and(|op| op.returned.is_some())
    }

    fn has_changed(&self) -> bool {
        self.answer == Answer::Done
    }
}

/// Everything that was asked in one run.
pub(crate) struct History {
    began: Instant,
    events: Mutex<Vec<Event>>,
    /// The contents by their ETags.
    contents: Mutex<BTreeMap<String, u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl History {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), events: Mutex::default(), contents: Mutex::default() }
    }

    pub(crate) fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// A content that nobody has put, for somebody to put.
    pub(crate) fn fresh(&self) -> u64 {
        let mut contents = lock(&self.contents);
        let new = contents.len() as u64 + 1;
        contents.insert(etag(new), new);
        new
    }

    /// The content with this ETag, if it is one of ours.
    pub(crate) fn content(&self, etag: &str) -> Option<u64> {
        lock(&self.contents).get(etag).copied()
    }

    pub(crate) fn note(&self, event: Event) {
        lock(&self.events).push(event);
    }

    /// What the name was last seen or made to stand for; perhaps not any more.
    pub(crate) fn seen(&self, name: usize) -> Option<u64> {
        lock(&self.events).iter().rev().filter(|event| event.name == name).find_map(|event| {
            match (event.asked, &event.answer) {
                (_, Answer::Saw(saw) | Answer::Refused(saw)) => *saw,
                (Asked::Put { new } | Asked::PutIfAbsent { new } | Asked::PutIfMatch { new, .. }, Answer::Done) => {
                    Some(new)
                }
                _ => None,
            }
        })
    }

    /// Questions asked of a peer that a quorum has answered.
    pub(crate) fn decided_at(&self, place: usize) -> usize {
        lock(&self.events).iter().filter(|event| event.place == place && event.is_decided()).count()
    }

    /// Questions so far.
    pub(crate) fn asked(&self) -> usize {
        lock(&self.events).len()
    }

    /// Changes that certainly happened.
    pub(crate) fn changes(&self) -> usize {
        lock(&self.events).iter().filter(|event| event.has_changed()).count()
    }

    /// How often each thing was answered with what.
    pub(crate) fn tally(&self) -> BTreeMap<(&'static str, &'static str), usize> {
        let mut tally = BTreeMap::new();
        for event in lock(&self.events).iter() {
            *tally.entry((event.asked.as_str(), event.answer.as_str())).or_default() += 1;
        }
        tally
    }

    /// Holds that each name was one register, and that this could have been found out.
    pub(crate) fn check(&self) {
        let events = lock(&self.events);
        let odd: Vec<&Event> = events.iter().filter(|event| matches!(event.answer, Answer::Odd(_))).collect();
        assert!(odd.is_empty(), "answers that nobody may be given: {odd:#?}");
        let mut by_name: BTreeMap<usize, Vec<&Event>> = BTreeMap::new();
        for event in events.iter() {
            by_name.entry(event.name).or_default().push(event);
        }
        for (name, mut events) in by_name {
            events.sort_by_key(|event| event.invoked);
            events.retain(|event| event.op().is_some());
            let ops: Vec<Op> = events.iter().filter_map(|event| event.op()).collect();
            let verdict = judge(&ops);
            assert!(verdict == Verdict::Holds, "name {name}: {verdict:?}{}", told(&events, &ops));
            let false_one = with_an_old_read(&ops).expect("a read at the end, and a write long before it");
            assert!(matches!(judge(&false_one), Verdict::Broken { .. }), "name {name}: a stale read passes");
        }
    }
}

/// The ETag of a content.
pub(crate) fn etag(content: u64) -> String {
    blake3::hash(content.to_string().as_bytes()).to_hex().to_string()
}

fn judge(ops: &[Op]) -> Verdict {
    Checker::default().go_on(ops, u64::MAX)
}

/// The few operations that cannot all be true.
fn told(events: &[&Event], ops: &[Op]) -> String {
    let mut text = String::new();
    for at in contradiction(ops).unwrap_or_default() {
        let Event { place, asked, answer, invoked, returned, .. } = events[at];
        let (from, to) = (*invoked as f64 / 1e9, *returned as f64 / 1e9);
        let _ = write!(text, "\n  {from:10.6} to {to:10.6} s, peer {place}: {asked:?} -> {answer:?}");
    }
    text
}

/// The same history, but that its last read saw what had been overwritten
/// before the read ahead of it began.
fn with_an_old_read(ops: &[Op]) -> Option<Vec<Op>> {
    let reads = || ops.iter().enumerate().filter(|(_, op)| matches!(op.kind, Kind::Read { .. }));
    let (last, _) = reads().next_back()?;
    let (_, ahead) = reads().rfind(|(_, op)| op.returned.is_some_and(|returned| returned < ops[last].invoked))?;
    let old = ops.iter().find_map(|op| match op.kind {
        Kind::Write { new } | Kind::Swap { new, .. }
            if op.returned.is_some_and(|returned| returned < ahead.invoked)
                && (ahead.kind != Kind::Read { saw: Some(new) }) =>
        {
            Some(new)
        }
        _ => None,
    })?;
    let mut ops = ops.to_vec();
    ops[last].kind = Kind::Read { saw: Some(old) };
    Some(ops)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::Error;

    fn failed() -> Answer {
        Answer::Failed(Error::NoQuorum { what: "it".into(), answered: 1, needed: 3 }.into())
    }

    /// Notes events one after the other, each over before the next begins.
    fn history(events: &[(Asked, Answer)]) -> History {
        let history = History::new();
        for (at, (asked, answer)) in (1u64..).zip(events) {
            history.note(Event {
                name: 0,
                place: 0,
                asked: *asked,
                answer: answer.clone(),
                invoked: 10 * at,
                returned: 10 * at + 5,
            });
        }
        history
    }

    /// The complaint about it; `None` when it holds.
    fn complaint(events: &[(Asked, Answer)]) -> Option<String> {
        let history = history(events);
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history.check())).err()?;
        Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    fn recorded() -> Vec<(Asked, Answer)> {
        let unknown = || Answer::Unknown("cut".into());
        vec![
            (Asked::Get, Answer::Saw(None)),
            (Asked::PutIfAbsent { new: 1 }, Answer::Done),
            (Asked::PutIfAbsent { new: 2 }, Answer::Refused(Some(1))),
            (Asked::PutIfMatch { expected: 1, new: 3 }, Answer::Done),
            (Asked::RemoveVersion { expected: 1 }, Answer::Refused(Some(3))),
            (Asked::RemoveVersion { expected: 3 }, Answer::Done),
            (Asked::Remove, Answer::Absent),
            (Asked::Put { new: 4 }, unknown()),
            (Asked::Get, Answer::Saw(Some(4))),
            (Asked::RemoveVersion { expected: 4 }, unknown()),
            (Asked::PutIfMatch { expected: 4, new: 5 }, Answer::Refused(None)),
            (Asked::Put { new: 6 }, Answer::Done),
            (Asked::Put { new: 7 }, failed()),
            (Asked::Get, Answer::Saw(Some(6))),
            (Asked::Get, Answer::Saw(Some(6))),
        ]
    }

    #[test]
    fn a_history_of_one_register_holds() {
        assert_eq!(complaint(&recorded()), None);
    }

    #[test]
    fn every_answer_of_a_good_history_changed_to_a_false_one_is_found() {
        let changes = [
            (0, Answer::Saw(Some(6))),
            (1, Answer::Refused(Some(9))),
            (2, Answer::Done),
            (3, failed()),
            (4, Answer::Done),
            (5, failed()),
            (6, Answer::Done),
            (7, failed()),
            (8, Answer::Saw(Some(3))),
            (9, failed()),
            (10, Answer::Refused(Some(4))),
            (11, failed()),
            (13, Answer::Saw(Some(7))),
            (14, Answer::Saw(Some(4))),
            (14, Answer::Saw(None)),
        ];
        for (at, answer) in changes {
            let mut events = recorded();
            let was = events[at].clone();
            events[at].1 = answer;
            let found = complaint(&events);
            assert!(found.is_some_and(|text| text.contains("Broken")), "{was:?} became {:?} unseen", events[at]);
        }
    }

    #[test]
    fn an_answer_that_nobody_may_be_given_is_no_part_of_a_good_history() {
        let mut events = recorded();
        events.push((Asked::Get, Answer::Odd("half an object".into())));
        assert!(complaint(&events).is_some_and(|text| text.contains("half an object")));
    }
}

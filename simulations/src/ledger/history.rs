use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::host::HostId;

/// Which operation of the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OperationId(pub(crate) usize);

/// What clients asked, and what they were told.
#[derive(Default)]
pub(crate) struct History {
    operations: Vec<Operation>,
    names: BTreeMap<String, Name>,
    /// By the number of a content.
    etags: BTreeMap<u64, String>,
    /// The other way round.
    contents: BTreeMap<String, u64>,
    counts: Counts,
    /// Buckets that are kept as the scenario has it.
    ready: BTreeSet<&'static str>,
}

/// What was done to one name.
#[derive(Default)]
pub(crate) struct Name {
    /// In the order in which they began.
    operations: Vec<OperationId>,
    /// Those that may still end.
    open: BTreeSet<OperationId>,
    /// The content that somebody saw last, or put.
    seen: Option<u64>,
}

/// Operations that have ended with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) ok: u64,
    pub(crate) failed: u64,
}

/// One operation on a name. Every put has a content of its own, named by a number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) at: HostId,
    pub(crate) kind: Kind,
    pub(crate) invoked: Duration,
    /// `None` while it runs, and for ever if nobody knows how it ended.
    pub(crate) returned: Option<Duration>,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Put {
        content: u64,
    },
    /// Only if the name stands for nothing.
    PutIfAbsent {
        content: u64,
    },
    /// Only if the name stands for that.
    PutIfMatch {
        content: u64,
        expected: u64,
    },
    Get,
    /// Looks for the name among all that are listed.
    List,
    Remove,
}

impl Kind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::PutIfAbsent { .. } => "put if absent",
            Self::PutIfMatch { .. } => "put if match",
            Self::Get => "get",
            Self::List => "list",
            Self::Remove => "remove",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// It is not known whether it took effect, or will: the client or its peer
    /// died, or the answer said so.
    Unknown,
    /// A write that took effect; a remove says whether there was something.
    Done { was_there: bool },
    /// What a get or a listing saw; `None`: nothing there.
    Saw(Option<u64>),
    /// A conditional put that found something else.
    Refused,
    /// It certainly did not take effect.
    Failed(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("nobody knows"),
            Self::Done { was_there: true } => f.write_str("done"),
            Self::Done { was_there: false } => f.write_str("done, there was nothing"),
            Self::Saw(Some(content)) => write!(f, "saw {content:x}"),
            Self::Saw(None) => f.write_str("saw nothing"),
            Self::Refused => f.write_str("refused"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl History {
    pub(crate) fn begin(&mut self, operation: Operation) -> OperationId {
        let id = OperationId(self.operations.len());
        let name = self.names.entry(operation.name.clone()).or_default();
        name.operations.push(id);
        name.open.insert(id);
        self.operations.push(operation);
        id
    }

    /// A client was answered.
    pub(crate) fn end(&mut self, id: OperationId, at: Duration, outcome: Outcome) {
        self.let_go(id);
        let Some(operation) = self.operations.get_mut(id.0) else {
            return;
        };
        match &outcome {
            Outcome::Unknown => {}
            Outcome::Failed(_) => self.counts.failed += 1,
            Outcome::Done { .. } | Outcome::Saw(_) | Outcome::Refused => self.counts.ok += 1,
        }
        if outcome != Outcome::Unknown {
            operation.returned = Some(at);
        }
        operation.outcome = outcome;
        if let (Some(content), Some(name)) = (operation.shows(), self.names.get_mut(&operation.name)) {
            name.seen = Some(content);
        }
    }

    /// Nobody is there any more to hear its end. No harm if it has ended.
    pub(crate) fn let_go(&mut self, id: OperationId) {
        if let Some(operation) = self.operations.get(id.0)
            && let Some(name) = self.names.get_mut(&operation.name)
        {
            name.open.remove(&id);
        }
    }

    /// The ETag of a content that somebody is about to put.
    pub(crate) fn knows(&mut self, content: u64, etag: String) {
        self.contents.insert(etag.clone(), content);
        self.etags.insert(content, etag);
    }

    pub(crate) fn etag(&self, content: u64) -> Option<String> {
        self.etags.get(&content).cloned()
    }

    /// Which content has an ETag.
    pub(crate) fn content(&self, etag: &str) -> Option<u64> {
        self.contents.get(etag).copied()
    }

    /// A bucket is kept as the scenario has it from now on.
    pub(crate) fn is_ready(&mut self, bucket: &'static str) {
        self.ready.insert(bucket);
    }

    pub(crate) fn is_in_use(&self, bucket: &str) -> bool {
        self.ready.contains(bucket)
    }

    pub(crate) fn all(&self) -> &[Operation] {
        &self.operations
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The content that somebody saw last under a name, or put there.
    pub(crate) fn last_seen(&self, name: &str) -> Option<u64> {
        self.names.get(name)?.seen
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = (&str, &Name)> {
        self.names.iter().map(|(text, name)| (text.as_str(), name))
    }

    /// Until when the operations of a name are known for good: what began
    /// before has ended, or nobody will ever know.
    pub(crate) fn known_until(&self, name: &Name, now: Duration) -> Duration {
        name.open.first().and_then(|id| self.operations.get(id.0)).map_or(now, |operation| operation.invoked)
    }

    /// Those of a name that began before `until`, but for the first so many.
    pub(crate) fn since(&self, name: &Name, first: usize, until: Duration) -> impl Iterator<Item = &Operation> {
        let later = name.operations.iter().skip(first).filter_map(|id| self.operations.get(id.0));
        later.take_while(move |operation| operation.invoked < until)
    }
}

impl Name {
    /// Whether some operation on it may still end.
    pub(crate) fn is_busy(&self) -> bool {
        !self.open.is_empty()
    }
}

impl Operation {
    /// The content that stood under the name when it took effect.
    fn shows(&self) -> Option<u64> {
        match (&self.outcome, self.kind) {
            (Outcome::Saw(saw), _) => *saw,
            (
                Outcome::Done { .. },
                Kind::Put { content } | Kind::PutIfAbsent { content } | Kind::PutIfMatch { content, .. },
            ) => Some(content),
            (Outcome::Done { .. }, Kind::Get | Kind::List | Kind::Remove)
            | (Outcome::Unknown | Outcome::Refused | Outcome::Failed(_), _) => None,
        }
    }
}

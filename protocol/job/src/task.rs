use shoal_types::{Error, PeerId, TaskReport};

/// Where a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TaskState {
    Pending,
    Running { attempt: u32, peer: PeerId },
    Done { attempt: u32, peer: PeerId, report: TaskReport },
}

/// A task and its history.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) state: TaskState,
    /// The number of the next attempt; attempts are never reused.
    pub(crate) next_attempt: u32,
    /// Attempts that failed by themselves, or took their peer with them.
    pub(crate) failures: u32,
    /// Times that a finished output, or an input under its reader, was lost.
    pub(crate) losses: u32,
    pub(crate) first_cause: Option<Error>,
}

impl Task {
    pub(crate) fn new() -> Self {
        Self { state: TaskState::Pending, next_attempt: 0, failures: 0, losses: 0, first_cause: None }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, TaskState::Done { .. })
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.state, TaskState::Pending)
    }

    /// Whether `attempt` on `peer` is what runs.
    pub(crate) fn runs(&self, attempt: u32, peer: PeerId) -> bool {
        matches!(&self.state, TaskState::Running { attempt: a, peer: p } if *a == attempt && *p == peer)
    }
}

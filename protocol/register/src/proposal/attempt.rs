use std::collections::BTreeSet;

use bytes::Bytes;
use shoal_types::{Ballot, PeerId};

/// The values that a proposal sent to acceptors and that may be, or become, the register's.
///
/// At most one per round, so never more than the rounds that a proposal may have.
#[derive(Default)]
pub(super) struct Attempts(Vec<Attempt>);

struct Attempt {
    step: u32,
    ballot: Ballot,
    value: Option<Bytes>,
    /// Acceptors that have not said that they never took it.
    open: BTreeSet<PeerId>,
}

/// What the newest accepted value tells of the attempts.
pub(super) enum Standing {
    /// None of them took effect so far.
    NotYet,
    /// It is the value of one of them.
    Written,
    /// It is another's, perhaps built on one of them.
    Unknown,
}

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn begin(&mut self, step: u32, ballot: Ballot, value: Option<Bytes>, open: BTreeSet<PeerId>) {
        self.0.push(Attempt { step, ballot, value, open });
    }

    /// `peer` refused the accept of `step`; what it holds was accepted at `accepted`.
    pub(super) fn refused(&mut self, step: u32, peer: PeerId, accepted: Ballot) {
        for attempt in &mut self.0 {
            // Holding something newer, it may have taken ours before.
            if attempt.step == step && accepted < attempt.ballot {
                attempt.open.remove(&peer);
            }
        }
        self.0.retain(|attempt| !attempt.open.is_empty());
    }

    pub(super) fn standing(&self, newest: Ballot, value: Option<&Bytes>) -> Standing {
        if self.0.iter().any(|attempt| attempt.ballot == newest) {
            return Standing::Written;
        }
        let mut overtaken = self.0.iter().filter(|attempt| attempt.ballot < newest).peekable();
        if overtaken.peek().is_none() {
            Standing::NotYet
        } else if overtaken.any(|attempt| attempt.value.as_ref() == value) {
            Standing::Written
        } else {
            Standing::Unknown
        }
    }
}

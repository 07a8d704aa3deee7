use std::collections::BTreeSet;

use bytes::Bytes;
use shoal_types::{Ballot, PeerId};

/// The values that a proposal sent to acceptors and that may be, or become, the register's.
///
/// At most one per round. Whoever is in doubt goes on for longer than others
/// only while there are few of them ([`Attempts::may_be_told`]).
#[derive(Default)]
pub(super) struct Attempts(Vec<Attempt>);

pub(super) struct Attempt {
    pub(super) step: u32,
    pub(super) ballot: Ballot,
    /// What it was decided on.
    pub(super) before: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    /// Acceptors that have not said that they never took it.
    pub(super) open: BTreeSet<PeerId>,
}

/// Whether a value was built on another one: told from what the other was
/// decided on, that one, and what is there now. `None` where it cannot be told.
pub type IsBuiltOn = fn(before: Option<&Bytes>, value: Option<&Bytes>, now: Option<&Bytes>) -> Option<bool>;

/// What the newest accepted value tells of the attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// None of them took effect so far.
    NotYet,
    /// One of them did: it is there, or what is there was built on it. This is its value.
    Written(Option<Bytes>),
    /// It is another's, perhaps built on one of them.
    Unknown,
}

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether none is newer than this.
    pub(super) fn are_up_to(&self, ballot: Ballot) -> bool {
        self.0.iter().all(|attempt| attempt.ballot <= ballot)
    }

    /// Whether it is worth while to wait for what others write: it tells what
    /// became of these, which are no more than `max`.
    pub(super) fn may_be_told(&self, max: usize, is_built_on: IsBuiltOn) -> bool {
        let tells = |attempt: &Attempt| {
            let value = attempt.value.as_ref();
            is_built_on(attempt.before.as_ref(), value, value) == Some(true)
        };
        self.0.len() <= max && self.0.iter().all(tells)
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.0.push(attempt);
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

    pub(super) fn standing(&self, newest: Ballot, value: Option<&Bytes>, is_built_on: IsBuiltOn) -> Standing {
        let overtaken = || self.0.iter().filter(|attempt| attempt.ballot < newest);
        let is_there = |attempt: &&Attempt| attempt.ballot == newest;
        let is_same = |attempt: &&Attempt| attempt.value.as_ref() == value;
        if let Some(attempt) = self.0.iter().find(is_there).or_else(|| overtaken().find(is_same)) {
            return Standing::Written(attempt.value.clone());
        }
        let (mut made, mut is_told) = (None::<&Option<Bytes>>, true);
        for attempt in overtaken() {
            match is_built_on(attempt.before.as_ref(), attempt.value.as_ref(), value) {
                // Which of two that left something else cannot be told.
                Some(true) if made.is_some_and(|made| *made != attempt.value) => return Standing::Unknown,
                Some(true) => made = Some(&attempt.value),
                Some(false) => {}
                None => is_told = false,
            }
        }
        match made {
            Some(made) => Standing::Written(made.clone()),
            None if is_told => Standing::NotYet,
            None => Standing::Unknown,
        }
    }
}

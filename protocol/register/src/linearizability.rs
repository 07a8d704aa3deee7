//! Is a history of operations on one register one that a register could have shown?
//!
//! For tests and simulations. [`Checker`] follows a history as it grows, moment
//! by moment; [`is_linearizable`] looks at a whole one; [`contradiction`] names
//! the few operations of a bad one that cannot all be true.
//!
//! Wing and Gong's search with Lowe's memory of visited states (G. Lowe,
//! "Testing for linearizability", 2017): try the operations in every order that
//! respects real time, and remember (operations done, value) pairs. Values are
//! unique per write.

mod checker;
mod contradiction;
#[cfg(test)]
mod tests;

pub use checker::{Checker, Verdict};
pub use contradiction::contradiction;

/// What the register holds; nothing before the first write and after a remove.
pub type Value = Option<u64>;

/// One operation, by any clock that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    pub invoked: u64,
    /// `None`: its end is not known; it may take effect at any time, or never.
    pub returned: Option<u64>,
    pub kind: Kind,
}

/// What was asked, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Read {
        saw: Value,
    },
    Write {
        new: u64,
    },
    /// Makes it hold nothing. `was_there`: whether it held something, if that was said.
    Remove {
        was_there: Option<bool>,
    },
    /// Makes it hold nothing, and did so where it held this.
    RemoveVersion {
        expected: u64,
    },
    /// A compare-and-set that wrote.
    Swap {
        expected: Value,
        new: u64,
    },
    /// A compare-and-set that found something else, and said what.
    Refused {
        expected: Value,
        saw: Value,
    },
    /// A compare-and-set that found something else, and did not say what.
    Mismatch {
        expected: Value,
    },
}

impl Kind {
    /// The value after it, or `None` when it cannot have happened with `value`.
    fn apply(self, value: Value) -> Option<Value> {
        let (fits, after) = match self {
            Self::Read { saw } => (saw == value, value),
            Self::Write { new } => (true, Some(new)),
            Self::Remove { was_there } => (was_there.is_none_or(|there| there == value.is_some()), None),
            Self::RemoveVersion { expected } => (value == Some(expected), None),
            Self::Swap { expected, new } => (expected == value, Some(new)),
            Self::Refused { expected, saw } => (saw == value && saw != expected, value),
            Self::Mismatch { expected } => (expected != value, value),
        };
        fits.then_some(after)
    }

    /// The value that it makes, whatever was there; `None` when it changes nothing.
    fn makes(self) -> Option<Value> {
        match self {
            Self::Write { new } | Self::Swap { new, .. } => Some(Some(new)),
            Self::Remove { was_there: None | Some(true) } | Self::RemoveVersion { .. } => Some(None),
            Self::Remove { was_there: Some(false) }
            | Self::Read { .. }
            | Self::Refused { .. }
            | Self::Mismatch { .. } => None,
        }
    }

    /// The one value with which it can happen, if there is only one.
    fn needs(self) -> Option<Value> {
        match self {
            Self::Read { saw } | Self::Refused { saw, .. } => Some(saw),
            Self::Swap { expected, .. } => Some(expected),
            Self::RemoveVersion { expected } => Some(Some(expected)),
            Self::Remove { was_there: Some(false) } => Some(None),
            Self::Remove { was_there: None | Some(true) } | Self::Write { .. } | Self::Mismatch { .. } => None,
        }
    }

    /// Whether it can happen with any value.
    fn is_unconditional(self) -> bool {
        matches!(self, Self::Write { .. } | Self::Remove { was_there: None })
    }
}

/// Whether one register could have shown all of it. A history too contended to
/// be judged ([`Verdict::TooHard`]) passes.
pub fn is_linearizable(history: &[Op]) -> bool {
    !matches!(judge(history).1, Verdict::Broken { .. })
}

/// The order in which they began, and what comes of them in that order.
fn judge(history: &[Op]) -> (Vec<usize>, Verdict) {
    let mut order: Vec<usize> = (0..history.len()).collect();
    order.sort_by_key(|at| history[*at].invoked);
    let sorted: Vec<Op> = order.iter().map(|at| history[*at]).collect();
    let verdict = Checker::default().go_on(&sorted, u64::MAX);
    (order, verdict)
}

//! Is a history of operations on one register one that a register could have shown?
//!
//! Wing and Gong's search with Lowe's memory of visited states: try the
//! operations in every order that respects real time, and remember (set done,
//! value) pairs that led nowhere. Values are unique per write.

use std::collections::BTreeSet;

pub(crate) type Value = Option<u64>;

#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) invoked: u64,
    /// `None`: its end is not known; it may take effect at any time, or never.
    pub(crate) returned: Option<u64>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Read {
        saw: Value,
    },
    Write {
        new: u64,
    },
    /// A compare-and-set that wrote.
    Swap {
        expected: Value,
        new: u64,
    },
    /// A compare-and-set that found something else.
    Refused {
        expected: Value,
        saw: Value,
    },
}

impl Kind {
    /// The value after it, or `None` when it cannot have happened with `value`.
    fn apply(self, value: Value) -> Option<Value> {
        match self {
            Self::Read { saw } => (saw == value).then_some(value),
            Self::Write { new } => Some(Some(new)),
            Self::Swap { expected, new } => (expected == value).then_some(Some(new)),
            Self::Refused { expected, saw } => (saw == value && saw != expected).then_some(value),
        }
    }

    fn writes(self) -> Option<u64> {
        match self {
            Self::Write { new } | Self::Swap { new, .. } => Some(new),
            Self::Read { .. } | Self::Refused { .. } => None,
        }
    }

    fn observes(self) -> Value {
        match self {
            Self::Read { saw } | Self::Refused { saw, .. } => saw,
            Self::Swap { expected, .. } => expected,
            Self::Write { .. } => None,
        }
    }
}

/// At most 128 operations that ended or whose value somebody saw.
pub(crate) fn is_linearizable(history: &[Op]) -> bool {
    // A write without a known end that nobody saw may as well never have happened.
    let seen: BTreeSet<u64> = history.iter().filter_map(|op| op.kind.observes()).collect();
    let ops: Vec<&Op> = history
        .iter()
        .filter(|op| op.returned.is_some() || op.kind.writes().is_some_and(|value| seen.contains(&value)))
        .collect();
    assert!(ops.len() <= 128, "{} operations do not fit", ops.len());
    let mut visited = BTreeSet::new();
    let mut open: Vec<(u128, Value)> = vec![(0, None)];
    while let Some((done, value)) = open.pop() {
        if !visited.insert((done, value)) {
            continue;
        }
        let left = || ops.iter().enumerate().filter(|(at, _)| done & (1 << at) == 0);
        let Some(horizon) = left().filter_map(|(_, op)| op.returned).min() else { return true };
        for (at, op) in left().filter(|(_, op)| op.invoked <= horizon) {
            if let Some(next) = op.kind.apply(value) {
                open.push((done | 1 << at, next));
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(invoked: u64, returned: u64, kind: Kind) -> Op {
        Op { invoked, returned: (returned > 0).then_some(returned), kind }
    }

    #[test]
    fn a_read_of_a_value_that_was_overwritten_before_it_began_is_caught() {
        let history =
            [op(1, 2, Kind::Write { new: 1 }), op(3, 4, Kind::Write { new: 2 }), op(5, 6, Kind::Read { saw: Some(1) })];
        assert!(!is_linearizable(&history));
        assert!(is_linearizable(&history[..2]));
    }

    #[test]
    fn two_swaps_of_one_value_are_caught() {
        let history =
            [op(1, 9, Kind::Swap { expected: None, new: 1 }), op(2, 8, Kind::Swap { expected: None, new: 2 })];
        assert!(!is_linearizable(&history));
    }

    #[test]
    fn a_write_of_unknown_end_may_show_late_but_not_come_and_go() {
        let mut history = vec![
            op(1, 0, Kind::Write { new: 1 }),
            op(2, 3, Kind::Write { new: 2 }),
            op(4, 5, Kind::Read { saw: Some(2) }),
            op(6, 7, Kind::Read { saw: Some(1) }),
        ];
        assert!(is_linearizable(&history));
        history.push(op(8, 9, Kind::Read { saw: Some(2) }));
        assert!(!is_linearizable(&history));
    }
}

use super::*;

fn op(invoked: u64, returned: u64, kind: Kind) -> Op {
    Op { invoked, returned: (returned > 0).then_some(returned), kind }
}

fn read(saw: u64) -> Kind {
    Kind::Read { saw: (saw > 0).then_some(saw) }
}

fn write(new: u64) -> Kind {
    Kind::Write { new }
}

/// How many operations of the history contradict each other; 0: none do.
fn check(history: &[Op], contradict: &[usize]) {
    let found = contradiction(history).unwrap_or_default();
    assert_eq!(found, contradict, "{history:#?}");
    assert_eq!(is_linearizable(history), contradict.is_empty());
}

#[test]
fn a_read_of_a_value_that_was_overwritten_before_it_began_is_caught() {
    let history = [op(1, 2, write(1)), op(3, 4, write(2)), op(5, 6, read(1))];
    check(&history[..2], &[]);
    check(&history, &[0, 1, 2]);
}

#[test]
fn two_swaps_of_one_value_are_caught() {
    let history = [op(1, 9, Kind::Swap { expected: None, new: 1 }), op(2, 8, Kind::Swap { expected: None, new: 2 })];
    check(&history, &[0, 1]);
}

#[test]
fn a_write_of_unknown_end_may_show_late_but_not_come_and_go() {
    let mut history = vec![op(1, 0, write(1)), op(2, 3, write(2)), op(4, 5, read(2)), op(6, 7, read(1))];
    check(&history, &[]);
    history.push(op(8, 9, read(2)));
    assert!(!is_linearizable(&history));
}

#[test]
fn what_was_removed_is_not_read_and_not_removed_again() {
    let remove = |was_there| Kind::Remove { was_there };
    let removed = [op(1, 2, write(1)), op(3, 4, remove(Some(true)))];
    check(&[removed[0], removed[1], op(5, 6, read(0)), op(7, 8, remove(Some(false)))], &[]);
    check(&[removed[0], removed[1], op(5, 6, read(1))], &[0, 1, 2]);
    check(&[removed[0], removed[1], op(5, 6, remove(Some(true)))], &[0, 1, 2]);
    // One whose end nobody knows explains the absence, once.
    check(&[removed[0], op(3, 0, remove(None)), op(5, 6, read(0))], &[]);
    let again = [removed[0], op(3, 0, remove(None)), op(5, 6, read(0)), op(7, 8, write(2)), op(9, 10, read(0))];
    assert!(!is_linearizable(&again));
}

#[test]
fn what_is_removed_as_one_version_was_that_version() {
    let remove = |expected| Kind::RemoveVersion { expected };
    let written = [op(1, 2, write(1)), op(3, 4, write(2))];
    check(&[written[0], written[1], op(5, 6, remove(2)), op(7, 8, read(0))], &[]);
    check(&[written[0], written[1], op(5, 6, remove(1))], &[0, 1, 2]);
    check(&[written[0], op(3, 4, remove(1)), op(5, 6, read(1))], &[0, 1, 2]);
    check(&[written[0], op(3, 4, remove(1)), op(5, 6, remove(1))], &[0, 1, 2]);
    // Of those whose end nobody knows, only one that asked for what was there explains the absence.
    let absent = op(9, 10, read(0));
    check(&[written[0], op(3, 0, remove(7)), op(4, 0, remove(1)), absent], &[]);
    check(&[written[0], op(3, 0, remove(7)), absent], &[0, 1, 2]);
}

#[test]
fn a_refusal_that_does_not_say_what_it_found_needs_something_else_to_be_there() {
    let absent = Kind::Mismatch { expected: None };
    check(&[op(1, 2, absent)], &[0]);
    check(&[op(1, 0, write(1)), op(2, 3, absent)], &[]);
    let expected = Kind::Mismatch { expected: Some(1) };
    check(&[op(1, 2, write(1)), op(3, 4, expected)], &[0, 1]);
    check(&[op(1, 2, write(1)), op(3, 0, Kind::Swap { expected: Some(1), new: 2 }), op(4, 5, expected)], &[]);
}

#[test]
fn swaps_of_unknown_end_explain_each_other() {
    let swap = |expected, new| Kind::Swap { expected: Some(expected), new };
    let history = [op(1, 2, write(1)), op(3, 0, swap(1, 2)), op(4, 0, swap(2, 3)), op(5, 6, read(3))];
    check(&history, &[]);
    check(&[history[0], history[2], history[3]], &[1, 2]);
}

#[test]
fn a_history_may_be_followed_as_it_grows() {
    let history = [op(1, 4, write(1)), op(2, 9, write(2)), op(5, 6, read(1)), op(7, 8, read(2)), op(10, 12, read(1))];
    let mut checker = Checker::default();
    assert_eq!(checker.go_on(&history[..2], 5), Verdict::Holds);
    assert_eq!(checker.go_on(&history[..4], 10), Verdict::Holds);
    assert_eq!(checker.go_on(&history, 12), Verdict::Holds);
    assert_eq!(checker.go_on(&history, 13), Verdict::Broken { at: 4 });
}

#[test]
fn a_contradiction_is_found_among_thousands_that_have_nothing_to_do_with_it() {
    let mut history = Vec::new();
    for n in 1..=1_000 {
        history.push(op(10 * n, 10 * n + 4, write(n)));
        history.push(op(10 * n + 2, 10 * n + 9, read(n)));
        // Lost, and never seen.
        history.push(op(10 * n + 3, 0, write(100_000 + n)));
    }
    assert!(is_linearizable(&history));
    history.push(op(20_000, 20_001, read(999)));
    let found = contradiction(&history).unwrap();
    let found: Vec<Kind> = found.into_iter().map(|at| history[at].kind).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert_eq!(found[0], write(999));
    assert_eq!(found[2], read(999));
}

#[test]
fn a_contradiction_stays_short_among_removes_and_swaps_of_unknown_end() {
    let mut history = Vec::new();
    for n in 1..=60 {
        let at = 100 * n;
        history.push(op(at, at + 9, write(10 * n)));
        history.push(op(at + 10, at + 19, Kind::Swap { expected: Some(10 * n), new: 10 * n + 1 }));
        history.push(op(at + 20, 0, Kind::Swap { expected: Some(10 * n + 1), new: 10 * n + 2 }));
        history.push(op(at + 30, at + 39, Kind::Remove { was_there: Some(true) }));
        history.push(op(at + 40, 0, write(10 * n + 3)));
    }
    assert!(is_linearizable(&history));
    history.push(op(9_000, 9_001, read(301)));
    let found = contradiction(&history).unwrap();
    assert_eq!(found.len(), 3, "{:?}", found.into_iter().map(|at| history[at]).collect::<Vec<Op>>());
}

/// The definition itself: every order of every choice of those of unknown end.
fn by_force(left: &[Op], value: Value) -> bool {
    let Some(horizon) = left.iter().filter_map(|op| op.returned).min() else {
        return true;
    };
    (0..left.len()).filter(|at| left[*at].invoked <= horizon).any(|at| {
        let rest: Vec<Op> = left.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, op)| *op).collect();
        left[at].kind.apply(value).is_some_and(|value| by_force(&rest, value))
    })
}

#[test]
fn the_verdict_is_that_of_the_definition_on_many_small_histories() {
    let mut seed = 7u64;
    let mut below = move |bound: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % bound
    };
    let (mut good, mut bad) = (0, 0);
    for _ in 0..4_000 {
        let history: Vec<Op> = (1..=6u64)
            .map(|n| {
                let invoked = below(12);
                let is_known = below(4) > 0;
                let some = (1 + below(6), below(4) > 0);
                let some = some.1.then_some(some.0);
                let kind = match below(8) {
                    0 | 1 => write(n),
                    2 => Kind::Swap { expected: some, new: n },
                    3 => Kind::Remove { was_there: is_known.then_some(below(2) == 0) },
                    4 => Kind::Mismatch { expected: some },
                    5 => Kind::RemoveVersion { expected: some.unwrap_or(1) },
                    _ => Kind::Read { saw: some },
                };
                Op { invoked, returned: is_known.then_some(invoked + below(8)), kind }
            })
            .collect();
        let sure: Vec<Op> =
            history.iter().copied().filter(|op| op.returned.is_some() || op.kind.makes().is_some()).collect();
        let expected = by_force(&sure, None);
        assert_eq!(is_linearizable(&history), expected, "{history:#?}");
        match contradiction(&history) {
            None => good += 1,
            Some(few) => {
                bad += 1;
                // Whoever reads only those sees that it cannot be.
                let few: Vec<Op> = few.into_iter().map(|at| history[at]).collect();
                assert!(!by_force(&few, None), "{few:#?} of {history:#?}");
            }
        }
    }
    assert!(good > 500 && bad > 500, "{good} good, {bad} bad");
}

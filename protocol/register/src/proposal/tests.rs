use std::collections::BTreeMap;

use shoal_types::{RegisterEntry, RegisterKey};

use super::*;
use crate::{Acceptor, Change};

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

fn text(value: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(value.as_bytes()))
}

/// Acceptors that answer at once, unless they are down.
#[derive(Default)]
struct Acceptors {
    states: BTreeMap<PeerId, RegisterEntry>,
    down: BTreeSet<PeerId>,
    syncs: u32,
}

impl Acceptors {
    fn answer(&mut self, to: PeerId, op: &RegisterOp) -> RegisterReply {
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let (reply, change) = Acceptor::handle(self.states.get(&to), Ballot::ZERO, &key, op);
        if let Some(Change::Keep(next)) = change {
            self.syncs += 1;
            self.states.insert(to, next);
        }
        reply
    }

    /// Runs a proposal to its end.
    fn run(&mut self, proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision>) -> Result<Outcome, Failure> {
        let mut todo: std::collections::VecDeque<Action> = proposal.start().into();
        while let Some(action) = todo.pop_front() {
            match action {
                Action::Send { step, to, .. } if self.down.contains(&to) => {
                    todo.extend(proposal.on_failure(step, to));
                }
                Action::Send { step, to, op } => {
                    let reply = self.answer(to, &op);
                    todo.extend(proposal.on_reply(step, to, reply));
                }
                Action::Retry { after_ms } => {
                    assert!((1..=1000).contains(&after_ms), "{after_ms}");
                    todo.extend(proposal.on_retry());
                }
                Action::Done(outcome) => return Ok(outcome),
                Action::Failed(failure) => return Err(failure),
            }
        }
        panic!("the proposal waits for nothing");
    }

    fn check(&mut self, groups: &[&[u8]], change: impl FnMut(Option<&Bytes>) -> Decision) -> Result<Outcome, Failure> {
        let groups = groups.iter().map(|group| group.iter().map(|n| peer(*n)).collect()).collect();
        self.run(&mut Proposal::new(peer(1), groups, 1, change))
    }
}

fn write(value: &'static str) -> impl FnMut(Option<&Bytes>) -> Decision {
    move |_| Decision::Write(text(value))
}

fn read(_: Option<&Bytes>) -> Decision {
    Decision::Leave
}

#[test]
fn what_was_written_is_read_by_anyone() {
    let mut acceptors = Acceptors::default();
    let written = acceptors.check(&[&[1, 2, 3]], write("a")).unwrap();
    assert_eq!(written, Outcome { value: text("a"), ending: Ending::Written });
    let seen = acceptors.check(&[&[1, 2, 3]], read).unwrap();
    assert_eq!(seen, Outcome { value: text("a"), ending: Ending::Left });
}

/// What a read that asks first finds among three.
fn ask(acceptors: &mut Acceptors) -> Result<Outcome, Failure> {
    acceptors.run(&mut Proposal::new(peer(2), vec![vec![peer(1), peer(2), peer(3)]], 1, read).asking())
}

#[test]
fn a_read_that_asks_first_writes_nothing() {
    let mut acceptors = Acceptors::default();
    assert_eq!(ask(&mut acceptors).unwrap().value, None);
    acceptors.check(&[&[1, 2, 3]], write("a")).unwrap();
    let (syncs, states) = (acceptors.syncs, acceptors.states.clone());
    assert_eq!(ask(&mut acceptors).unwrap(), Outcome { value: text("a"), ending: Ending::Left });
    acceptors.down.insert(peer(3));
    assert_eq!(ask(&mut acceptors).unwrap().value, text("a"));
    assert_eq!((acceptors.syncs, &acceptors.states), (syncs, &states));
}

#[test]
fn a_read_that_meets_a_half_made_write_completes_it() {
    let mut acceptors = Acceptors::default();
    acceptors.check(&[&[1, 2, 3]], write("a")).unwrap();
    acceptors.check(&[&[3]], write("half")).unwrap();
    acceptors.down.insert(peer(1));
    assert_eq!(ask(&mut acceptors).unwrap().value, text("half"));
    // Also for whoever cannot see the one that had it.
    acceptors.down = BTreeSet::from([peer(3)]);
    assert_eq!(ask(&mut acceptors).unwrap().value, text("half"));
}

#[test]
fn a_read_waits_a_moment_for_those_who_agree() {
    let held = |counter, value| RegisterReply::Read { accepted: Ballot { counter, proposer: peer(1) }, value };
    let mut proposal = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, read).asking();
    proposal.start();
    assert!(proposal.on_reply(1, peer(1), held(1, text("old"))).is_empty());
    let divided = proposal.on_reply(1, peer(2), held(2, text("new")));
    assert_eq!(divided, [Action::Retry { after_ms: 10 }]);
    let done = proposal.on_reply(1, peer(3), held(2, text("new")));
    assert_eq!(done, [Action::Done(Outcome { value: text("new"), ending: Ending::Left })]);
    assert!(proposal.on_retry().is_empty());
}

#[test]
fn a_swap_that_asks_first_prepares_before_it_writes() {
    let mut acceptors = Acceptors::default();
    let mut swap = Proposal::new(peer(2), vec![vec![peer(1), peer(2), peer(3)]], 1, write("a")).asking();
    assert_eq!(acceptors.run(&mut swap).unwrap().ending, Ending::Written);
    assert_eq!(ask(&mut acceptors).unwrap().value, text("a"));
}

#[test]
fn a_swap_is_refused_when_the_value_is_another() {
    let mut acceptors = Acceptors::default();
    let create = |current: Option<&Bytes>| match current {
        None => Decision::Write(text("first")),
        Some(_) => Decision::Refuse,
    };
    assert_eq!(acceptors.check(&[&[1, 2, 3]], create).unwrap().ending, Ending::Written);
    let second = acceptors.check(&[&[1, 2, 3]], create).unwrap();
    assert_eq!(second, Outcome { value: text("first"), ending: Ending::Refused });
}

#[test]
fn a_minority_down_changes_nothing_and_a_majority_down_is_no_quorum() {
    let mut acceptors = Acceptors::default();
    acceptors.down.insert(peer(3));
    assert!(acceptors.check(&[&[1, 2, 3]], write("a")).is_ok());
    acceptors.down.insert(peer(2));
    assert_eq!(acceptors.check(&[&[1, 2, 3]], write("b")), Err(Failure::NoQuorum { answered: 1, needed: 2 }));
    assert_eq!(acceptors.check(&[], read), Err(Failure::NoQuorum { answered: 0, needed: 1 }));
}

#[test]
fn who_gives_up_on_a_silent_majority_has_no_quorum_and_has_written_nothing() {
    let mut acceptors = Acceptors::default();
    let mut proposal = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("a"));
    let silent = Failure::NoQuorum { answered: 1, needed: 2 };
    let mut round = |proposal: &mut Proposal<_>, actions: Vec<Action>, answers: &[u8]| -> Vec<Action> {
        let mut next = Vec::new();
        for action in actions {
            let Action::Send { step, to, op } = action else { panic!("{action:?}") };
            if answers.iter().any(|n| peer(*n) == to) {
                let reply = acceptors.answer(to, &op);
                next.extend(proposal.on_reply(step, to, reply));
            }
        }
        next
    };
    let prepares = proposal.start();
    assert!(round(&mut proposal, prepares.clone(), &[1]).is_empty());
    assert_eq!(proposal.lacks_quorum(), Some(silent));
    let accepts = round(&mut proposal, prepares, &[2]);
    assert_eq!(proposal.lacks_quorum(), None, "a majority is there");
    assert!(round(&mut proposal, accepts, &[1]).is_empty());
    assert_eq!((proposal.lacks_quorum(), proposal.in_doubt()), (None, true), "it may have been written");
}

#[test]
fn while_the_layout_is_joint_both_majorities_are_needed() {
    let mut acceptors = Acceptors::default();
    acceptors.check(&[&[1, 2, 3]], write("a")).unwrap();
    acceptors.down.extend([peer(4), peer(5)]);
    let joint: &[&[u8]] = &[&[4, 5, 6], &[1, 2, 3]];
    assert_eq!(acceptors.check(joint, read), Err(Failure::NoQuorum { answered: 1, needed: 2 }));
    acceptors.down.clear();
    acceptors.check(joint, read).unwrap();
    acceptors.down.extend([peer(1), peer(2), peer(3)]);
    assert_eq!(acceptors.check(&[&[4, 5, 6]], read).unwrap().value, text("a"));
}

#[test]
fn a_read_that_a_quorum_agrees_on_writes_nothing_back() {
    let mut acceptors = Acceptors::default();
    acceptors.check(&[&[1, 2, 3]], write("a")).unwrap();
    acceptors.syncs = 0;
    let groups = vec![vec![peer(1), peer(2), peer(3)]];
    let mut proposal = Proposal::new(peer(2), groups, 1, read).above(Ballot { counter: 9, proposer: peer(1) });
    acceptors.run(&mut proposal).unwrap();
    assert!(acceptors.syncs <= 3, "{} syncs: promises only", acceptors.syncs);
}

#[test]
fn a_read_of_a_value_that_a_minority_holds_writes_it_back_first() {
    let mut acceptors = Acceptors::default();
    let op = RegisterOp::Accept { ballot: Ballot { counter: 1, proposer: peer(3) }, value: text("half") };
    acceptors.answer(peer(1), &op);
    let groups = vec![vec![peer(1), peer(2), peer(3)]];
    let mut proposal = Proposal::new(peer(2), groups, 1, read).above(Ballot { counter: 1, proposer: peer(3) });
    assert_eq!(acceptors.run(&mut proposal).unwrap().value, text("half"));
    acceptors.down.insert(peer(1));
    assert_eq!(acceptors.check(&[&[1, 2, 3]], read).unwrap().value, text("half"), "it was read, so it stays");
}

/// Starts a write at three acceptors and loses its accepts, but for `taken_by`.
fn interrupted(acceptors: &mut Acceptors, taken_by: &[u8]) -> Proposal<impl FnMut(Option<&Bytes>) -> Decision + use<>> {
    let mut calls = 0;
    in_doubt(acceptors, taken_by, move |_: Option<&Bytes>| {
        calls += 1;
        assert_eq!(calls, 1, "a write in doubt is not decided again");
        Decision::Write(text("mine"))
    })
}

/// The same for what `change` writes.
fn in_doubt<C: FnMut(Option<&Bytes>) -> Decision>(
    acceptors: &mut Acceptors,
    taken_by: &[u8],
    change: C,
) -> Proposal<C> {
    let groups = vec![vec![peer(1), peer(2), peer(3)]];
    let mut proposal = Proposal::new(peer(1), groups, 1, change);
    let mut accepts = Vec::new();
    for action in proposal.start() {
        let Action::Send { step, to, op } = action else { panic!("{action:?}") };
        let reply = acceptors.answer(to, &op);
        accepts.extend(proposal.on_reply(step, to, reply));
    }
    assert!(!proposal.in_doubt() || !accepts.is_empty());
    let mut last = Vec::new();
    for action in accepts {
        let Action::Send { step, to, op } = action else { panic!("{action:?}") };
        if taken_by.iter().any(|n| peer(*n) == to) {
            acceptors.answer(to, &op);
        }
        last.extend(proposal.on_failure(step, to));
    }
    assert!(matches!(last.as_slice(), [Action::Retry { .. }]), "{last:?}");
    assert!(proposal.in_doubt());
    proposal
}

fn finish(
    acceptors: &mut Acceptors,
    proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision>,
) -> Result<Outcome, Failure> {
    let actions = proposal.on_retry();
    go_on(acceptors, proposal, actions)
}

fn go_on(
    acceptors: &mut Acceptors,
    proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision>,
    actions: Vec<Action>,
) -> Result<Outcome, Failure> {
    let mut todo: std::collections::VecDeque<Action> = actions.into();
    while let Some(action) = todo.pop_front() {
        match action {
            Action::Send { step, to, op } => {
                let reply = acceptors.answer(to, &op);
                todo.extend(proposal.on_reply(step, to, reply));
            }
            Action::Retry { .. } => todo.extend(proposal.on_retry()),
            Action::Done(outcome) => return Ok(outcome),
            Action::Failed(failure) => return Err(failure),
        }
    }
    panic!("the proposal waits for nothing");
}

#[test]
fn a_write_whose_answers_were_lost_finds_its_own_value_and_is_not_written_twice() {
    let mut acceptors = Acceptors::default();
    let mut proposal = interrupted(&mut acceptors, &[1, 2, 3]);
    let outcome = finish(&mut acceptors, &mut proposal).unwrap();
    assert_eq!(outcome, Outcome { value: text("mine"), ending: Ending::Written });
}

#[test]
fn a_write_in_doubt_that_another_carried_on_is_known_by_its_value() {
    let mut acceptors = Acceptors::default();
    let mut proposal = interrupted(&mut acceptors, &[1]);
    acceptors.check(&[&[1, 2, 3]], read).unwrap();
    assert_eq!(finish(&mut acceptors, &mut proposal).unwrap().ending, Ending::Written);
}

#[test]
fn a_write_in_doubt_that_was_overtaken_by_another_value_ends_as_unknown() {
    let mut acceptors = Acceptors::default();
    let mut proposal = interrupted(&mut acceptors, &[1]);
    acceptors.check(&[&[1, 2, 3]], write("theirs")).unwrap();
    assert_eq!(finish(&mut acceptors, &mut proposal), Err(Failure::Unknown));
}

/// Of values that begin with what they were built on. One that begins with `?` remembers nothing.
fn begins_with(_: Option<&Bytes>, value: Option<&Bytes>, now: Option<&Bytes>) -> Option<bool> {
    let (value, now) = (value?, now?);
    if now.starts_with(b"?") { None } else { Some(now.starts_with(value)) }
}

/// It was told that this is unknown, though what the other had written told it.
#[test]
fn a_write_in_doubt_that_was_overtaken_is_known_by_what_the_other_was_built_on() {
    let cases = [
        ("mine, and theirs", Ok(Outcome { value: text("mine"), ending: Ending::Written })),
        ("theirs", Ok(Outcome { value: text("theirs"), ending: Ending::Refused })),
        ("?", Err(Failure::Unknown)),
    ];
    for (theirs, expected) in cases {
        for asks in [false, true] {
            let mut acceptors = Acceptors::default();
            let mut proposal = in_doubt(&mut acceptors, &[1], |found: Option<&Bytes>| match found {
                None => Decision::Write(text("mine")),
                Some(_) => Decision::Refuse,
            });
            proposal = proposal.telling(begins_with);
            proposal.asks_again = asks;
            acceptors.check(&[&[1, 2, 3]], write(theirs)).unwrap();
            let syncs = acceptors.syncs;
            assert_eq!(finish(&mut acceptors, &mut proposal), expected, "{theirs}, asks: {asks}");
            assert!(!asks || acceptors.syncs == syncs, "a quorum that holds it tells it: nobody promises anything");
        }
    }
}

/// What a minority has of another is newer, and was not built on this write. It
/// may get lost, and then this one is found at a minority as well.
#[test]
fn a_write_in_doubt_is_told_not_to_have_been_made_only_once_something_newer_is_chosen() {
    let mut acceptors = Acceptors::default();
    let change = |found: Option<&Bytes>| match found {
        None => Decision::Write(text("mine")),
        Some(_) => Decision::Refuse,
    };
    let mut proposal = in_doubt(&mut acceptors, &[3], change).telling(begins_with).asking_again();
    // Promised by those who had not taken it, and taken by one of them.
    let theirs = Ballot { counter: 9, proposer: peer(2) };
    for n in [1, 2] {
        acceptors.answer(peer(n), &RegisterOp::Prepare { ballot: theirs });
    }
    acceptors.answer(peer(1), &RegisterOp::Accept { ballot: theirs, value: text("theirs") });
    assert_eq!(finish(&mut acceptors, &mut proposal).unwrap().ending, Ending::Refused);
    // Whoever does not meet the one that had it first meets it all the same.
    acceptors.down.insert(peer(1));
    assert_eq!(acceptors.check(&[&[1, 2, 3]], read).unwrap().value, text("theirs"));
}

#[test]
fn a_write_in_doubt_that_nobody_has_overtaken_is_carried_on() {
    let mut acceptors = Acceptors::default();
    let mut proposal = in_doubt(&mut acceptors, &[1], write("mine")).telling(begins_with).asking_again();
    let written = Outcome { value: text("mine"), ending: Ending::Written };
    assert_eq!(finish(&mut acceptors, &mut proposal), Ok(written));
    acceptors.down.insert(peer(1));
    assert_eq!(acceptors.check(&[&[1, 2, 3]], read).unwrap().value, text("mine"));
}

/// Above all ballots of the first set of acceptors.
const FLOOR: Ballot = Ballot { counter: 1 << 32, proposer: PeerId::from_bytes([0; 32]) };

#[test]
fn an_acceptor_that_missed_the_handover_does_not_bring_back_what_nobody_agreed_upon() {
    let mut acceptors = Acceptors::default();
    let ballot = Ballot { counter: 40, proposer: peer(7) };
    for op in [RegisterOp::Prepare { ballot }, RegisterOp::Accept { ballot, value: text("stray") }] {
        acceptors.answer(peer(1), &op);
    }
    let new = || vec![vec![peer(1), peer(4), peer(5)]];
    acceptors.down.insert(peer(1));
    acceptors.run(&mut Proposal::new(peer(9), new(), 1, write("agreed")).above(FLOOR)).unwrap();
    acceptors.down.remove(&peer(1));
    acceptors.down.insert(peer(5));
    let seen = acceptors.run(&mut Proposal::new(peer(8), new(), 1, read).above(FLOOR)).unwrap();
    assert_eq!(seen.value, text("agreed"));
}

#[test]
fn a_write_in_doubt_stays_so_among_other_acceptors() {
    // Taken by one of the old acceptors, which is among the new ones too.
    let new = || vec![vec![peer(1), peer(4), peer(5)]];
    let mut acceptors = Acceptors::default();
    let mut proposal = interrupted(&mut acceptors, &[1]);
    let actions = proposal.regroup(new(), FLOOR);
    assert_eq!(go_on(&mut acceptors, &mut proposal, actions).unwrap().ending, Ending::Written);

    // Overtaken there: whether the other built on it cannot be told.
    let mut acceptors = Acceptors::default();
    let mut proposal = interrupted(&mut acceptors, &[1]);
    let theirs = &mut Proposal::new(peer(9), new(), 1, write("theirs")).above(FLOOR);
    acceptors.run(theirs).unwrap();
    let actions = proposal.regroup(new(), FLOOR);
    assert_eq!(go_on(&mut acceptors, &mut proposal, actions), Err(Failure::Unknown));
}

#[test]
fn a_write_that_every_acceptor_refused_is_not_in_doubt() {
    let mut acceptors = Acceptors::default();
    let groups = vec![vec![peer(1), peer(2), peer(3)]];
    let mut proposal = Proposal::new(peer(1), groups, 1, write("mine"));
    let mut accepts = Vec::new();
    for action in proposal.start() {
        let Action::Send { step, to, op } = action else { panic!("{action:?}") };
        let reply = acceptors.answer(to, &op);
        accepts.extend(proposal.on_reply(step, to, reply));
    }
    // Another's promise comes in between, not yet its value.
    for n in 1..=3 {
        acceptors.answer(peer(n), &RegisterOp::Prepare { ballot: Ballot { counter: 5, proposer: peer(2) } });
    }
    for action in accepts {
        let Action::Send { step, to, op } = action else { panic!("{action:?}") };
        let reply = acceptors.answer(to, &op);
        proposal.on_reply(step, to, reply);
    }
    assert!(!proposal.in_doubt());
    assert_eq!(finish(&mut acceptors, &mut proposal).unwrap().value, text("mine"), "it decides afresh");
}

#[test]
fn answers_that_are_late_doubled_or_from_strangers_count_for_nothing() {
    let groups = vec![vec![peer(1), peer(2), peer(3)]];
    let mut proposal = Proposal::new(peer(1), groups, 1, write("x"));
    let promise = RegisterReply::Prepare(PrepareReply::Promised { accepted: Ballot::ZERO, value: None });
    let Some(Action::Send { step, .. }) = proposal.start().into_iter().next() else { panic!("nothing sent") };
    assert_eq!(proposal.on_reply(step, peer(1), promise.clone()), vec![]);
    assert_eq!(proposal.on_reply(step, peer(1), promise.clone()), vec![]);
    assert_eq!(proposal.on_reply(step, peer(9), promise.clone()), vec![]);
    assert_eq!(proposal.on_reply(step + 1, peer(2), promise.clone()), vec![]);
    assert_eq!(proposal.on_reply(step, peer(2), promise).len(), 3, "two of three promised");
}

/// One that others refuse, whatever it asks for: how long it waits each time,
/// and the ballots that it prepares.
fn refused(proposal: &mut Proposal<impl FnMut(Option<&Bytes>) -> Decision>) -> (Vec<u64>, Vec<u64>) {
    let (mut waits, mut ballots) = (Vec::new(), Vec::new());
    let mut todo: std::collections::VecDeque<Action> = proposal.start().into();
    while let Some(action) = todo.pop_front() {
        match action {
            Action::Send { step, to, op: RegisterOp::Prepare { ballot } } => {
                ballots.push(ballot.counter);
                let seen = Ballot { counter: ballot.counter + 1, proposer: peer(9) };
                todo.extend(proposal.on_reply(step, to, RegisterReply::Prepare(PrepareReply::Conflict { seen })));
            }
            Action::Retry { after_ms } => {
                assert!(proposal.was_refused());
                waits.push(after_ms);
                todo.extend(proposal.on_retry());
            }
            Action::Failed(Failure::Contended { .. }) => break,
            action => panic!("{action:?}"),
        }
    }
    ballots.dedup();
    (waits, ballots)
}

#[test]
fn whoever_has_a_turn_waits_less_and_asks_for_more_than_who_makes_way() {
    let proposal = || Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("a"));
    let (waits, ballots) = refused(&mut proposal());
    assert!(waits.iter().any(|ms| *ms > 300), "{waits:?}");
    assert!(ballots.windows(2).all(|pair| pair[1] == pair[0] + 2), "{ballots:?}");
    let mut in_turn = proposal();
    in_turn.begin_turn();
    let (waits, ballots) = refused(&mut in_turn);
    assert!(waits.iter().all(|ms| *ms <= 64), "{waits:?}");
    assert!(ballots.windows(2).all(|pair| pair[1] == pair[0] + 17), "{ballots:?}");
    in_turn.end_turn();
    assert!(!in_turn.has_turn);
}

#[test]
fn whoever_asks_again_is_told_that_its_condition_does_not_hold_and_is_in_nobodys_way() {
    let mut acceptors = Acceptors::default();
    acceptors.check(&[&[1, 2, 3]], write("theirs")).unwrap();
    let change = |found: Option<&Bytes>| match found {
        None => Decision::Write(text("mine")),
        Some(_) => Decision::Refuse,
    };
    let mut proposal = Proposal::new(peer(2), vec![vec![peer(1), peer(2), peer(3)]], 1, change).asking_again();
    // All refuse it twice.
    let mut actions = proposal.start();
    for _ in 0..2 {
        let asked = actions.into_iter().map(|action| match action {
            Action::Send { step, to, op: RegisterOp::Prepare { .. } } => (step, to),
            action => panic!("{action:?}"),
        });
        let seen = Ballot { counter: 9, proposer: peer(9) };
        let refusal = || RegisterReply::Prepare(PrepareReply::Conflict { seen });
        let asked: Vec<_> = asked.collect();
        actions = asked.into_iter().flat_map(|(step, to)| proposal.on_reply(step, to, refusal())).collect();
    }
    assert!(matches!(actions[..], [Action::Retry { after_ms: ..=64 }]), "{actions:?}");
    let (syncs, asks) = (acceptors.syncs, proposal.on_retry());
    assert_eq!(go_on(&mut acceptors, &mut proposal, asks).unwrap().ending, Ending::Refused);
    assert_eq!(acceptors.syncs, syncs);
}

/// Whoever writes alone goes on from its own ballot; the next set of acceptors
/// begins where it may not come to.
#[test]
fn the_first_ballot_that_is_too_low_is_no_refusal_and_none_reaches_the_ceiling() {
    let mut acceptors = Acceptors::default();
    let mut first = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("a"));
    acceptors.run(&mut first).unwrap();
    let mut second = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("b")).above(first.met());
    let syncs = acceptors.syncs;
    acceptors.run(&mut second).unwrap();
    assert!(acceptors.syncs == syncs + 6 && !second.was_refused());
    let mut third = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("c"));
    acceptors.run(&mut third).unwrap();
    assert!(!third.was_refused(), "only its guess was too low");
    let mut last = Proposal::new(peer(1), vec![vec![peer(1), peer(2), peer(3)]], 1, write("d")).above(third.met());
    last.end_below(third.met().counter + 1);
    assert_eq!(acceptors.run(&mut last), Err(Failure::Contended { rounds: 0 }));
}

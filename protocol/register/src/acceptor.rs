use shoal_types::{AcceptReply, Ballot, PrepareReply, RegisterEntry, RegisterKey, RegisterOp, RegisterReply};

/// What an owner of a key does with an operation on its register.
///
/// A pure function of the durable state. Promises are *strict*: a ballot is
/// promised once. So even if two proposals happen to run under one ballot (a
/// peer that restarted, or two operations of one peer at a time), at most one
/// of them gets a majority of promises and goes on to write.
///
/// A register of which nothing is here counts as one that has promised the
/// `horizon`: a ballot, durable too, that is not below any that a register
/// forgotten here had promised; see [the crate](crate#forgetting).
pub struct Acceptor;

/// What must be durable before an operation is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// This is the state of the register now.
    Keep(RegisterEntry),
    /// Nothing of it is left, and the horizon is not below this: both or none.
    Forget { horizon: Ballot },
}

impl Acceptor {
    /// The answer to `op`, and what must be durable *before* the answer is
    /// sent; `None` when the state is as it was.
    ///
    /// Operations on one key must be handled one after another: state and
    /// horizon are those last made durable.
    pub fn handle(
        state: Option<&RegisterEntry>,
        horizon: Ballot,
        key: &RegisterKey,
        op: &RegisterOp,
    ) -> (RegisterReply, Option<Change>) {
        let promised = state.map_or(horizon, |entry| entry.promised.max(entry.accepted));
        let accepted = state.map_or(Ballot::ZERO, |entry| entry.accepted);
        // Whom the horizon was promised to is not known: nobody can call on it.
        let may_be_equal = state.is_some() && promised > Ballot::ZERO;
        let held = || state.and_then(|entry| entry.value.clone());
        let keep =
            |promised, accepted, value| Change::Keep(RegisterEntry { key: key.clone(), promised, accepted, value });
        match op {
            RegisterOp::Read => (RegisterReply::Read { accepted, value: held() }, None),
            RegisterOp::Prepare { ballot } if *ballot > promised => {
                let reply = PrepareReply::Promised { accepted, value: held() };
                (RegisterReply::Prepare(reply), Some(keep(*ballot, accepted, held())))
            }
            RegisterOp::Prepare { .. } => (RegisterReply::Prepare(PrepareReply::Conflict { seen: promised }), None),
            // Said twice: the same proposal, hence the same value.
            RegisterOp::Accept { ballot, .. } if *ballot == accepted && *ballot > Ballot::ZERO => {
                (RegisterReply::Accept(AcceptReply::Accepted), None)
            }
            RegisterOp::Accept { ballot, value } if *ballot > promised || *ballot == promised && may_be_equal => {
                (RegisterReply::Accept(AcceptReply::Accepted), Some(keep(*ballot, *ballot, value.clone())))
            }
            RegisterOp::Accept { .. } => {
                // Whoever has accepted nothing may have forgotten what it had.
                let accepted = if accepted == Ballot::ZERO { horizon } else { accepted };
                (RegisterReply::Accept(AcceptReply::Conflict { seen: promised, accepted }), None)
            }
            RegisterOp::Forget { ballot } => match state {
                Some(entry) if entry.accepted == *ballot => {
                    (RegisterReply::Forgotten(true), Some(Change::Forget { horizon: horizon.max(promised) }))
                }
                Some(_) => (RegisterReply::Forgotten(false), None),
                None => (RegisterReply::Forgotten(true), None),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use shoal_types::PeerId;

    use super::*;

    fn ballot(counter: u64, proposer: u8) -> Ballot {
        Ballot { counter, proposer: PeerId::from_bytes([proposer; 32]) }
    }

    fn value(text: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(text.as_bytes()))
    }

    /// Hands the operations to one acceptor in turn; the last answer and the state.
    fn check(ops: &[RegisterOp]) -> (RegisterReply, Option<RegisterEntry>) {
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let (mut state, mut horizon) = (None, Ballot::ZERO);
        let mut last = None;
        for op in ops {
            let (reply, change) = Acceptor::handle(state.as_ref(), horizon, &key, op);
            match change {
                Some(Change::Keep(entry)) => state = Some(entry),
                Some(Change::Forget { horizon: raised }) => (state, horizon) = (None, raised),
                None => {}
            }
            last = Some(reply);
        }
        (last.expect("at least one operation"), state)
    }

    #[test]
    fn a_fresh_acceptor_promises_and_says_that_it_holds_nothing() {
        let (reply, state) = check(&[RegisterOp::Prepare { ballot: ballot(1, 1) }]);
        assert_eq!(reply, RegisterReply::Prepare(PrepareReply::Promised { accepted: Ballot::ZERO, value: None }));
        assert_eq!(state.unwrap().promised, ballot(1, 1));
    }

    #[test]
    fn a_ballot_is_promised_once() {
        let (reply, _) =
            check(&[RegisterOp::Prepare { ballot: ballot(3, 1) }, RegisterOp::Prepare { ballot: ballot(3, 1) }]);
        assert_eq!(reply, RegisterReply::Prepare(PrepareReply::Conflict { seen: ballot(3, 1) }));
    }

    #[test]
    fn nothing_below_a_promise_is_accepted_and_the_refusal_says_what_is_held() {
        let (reply, state) = check(&[
            RegisterOp::Prepare { ballot: ballot(1, 1) },
            RegisterOp::Accept { ballot: ballot(1, 1), value: value("old") },
            RegisterOp::Prepare { ballot: ballot(5, 1) },
            RegisterOp::Accept { ballot: ballot(4, 2), value: value("late") },
        ]);
        assert_eq!(reply, RegisterReply::Accept(AcceptReply::Conflict { seen: ballot(5, 1), accepted: ballot(1, 1) }));
        assert_eq!(state.unwrap().value, value("old"));
    }

    #[test]
    fn an_accept_said_twice_is_accepted_twice_and_stored_once() {
        let key = RegisterKey::Object("b/k".parse().unwrap());
        let op = RegisterOp::Accept { ballot: ballot(2, 1), value: value("x") };
        let (_, state) = check(std::slice::from_ref(&op));
        let (reply, next) = Acceptor::handle(state.as_ref(), Ballot::ZERO, &key, &op);
        assert_eq!(reply, RegisterReply::Accept(AcceptReply::Accepted));
        assert!(next.is_none(), "nothing changed, so nothing is to be synced");
    }

    #[test]
    fn a_higher_accept_needs_no_promise_of_its_own() {
        let (reply, state) = check(&[
            RegisterOp::Prepare { ballot: ballot(1, 1) },
            RegisterOp::Accept { ballot: ballot(2, 2), value: None },
        ]);
        assert_eq!(reply, RegisterReply::Accept(AcceptReply::Accepted));
        assert_eq!(state.unwrap().promised, ballot(2, 2));
    }

    #[test]
    fn what_was_forgotten_is_neither_promised_nor_accepted_again() {
        let forgotten = [
            RegisterOp::Accept { ballot: ballot(3, 1), value: value("removed") },
            RegisterOp::Prepare { ballot: ballot(5, 2) },
            RegisterOp::Forget { ballot: ballot(3, 1) },
        ];
        let check = |op: RegisterOp| check(&[&forgotten[..], &[op]].concat());
        for late in [ballot(1, 1), ballot(3, 1), ballot(5, 2)] {
            let (reply, state) = check(RegisterOp::Accept { ballot: late, value: value("late") });
            // It may have been accepted and forgotten: nobody says that it never was.
            let refused = AcceptReply::Conflict { seen: ballot(5, 2), accepted: ballot(5, 2) };
            assert_eq!((reply, state), (RegisterReply::Accept(refused), None));
            let (reply, _) = check(RegisterOp::Prepare { ballot: late });
            assert_eq!(reply, RegisterReply::Prepare(PrepareReply::Conflict { seen: ballot(5, 2) }));
        }
        let (reply, _) = check(RegisterOp::Prepare { ballot: ballot(6, 1) });
        assert_eq!(reply, RegisterReply::Prepare(PrepareReply::Promised { accepted: Ballot::ZERO, value: None }));
        assert_eq!(check(RegisterOp::Forget { ballot: ballot(3, 1) }).0, RegisterReply::Forgotten(true));
    }

    #[test]
    fn a_refusal_after_a_new_promise_still_owns_up_to_what_was_forgotten() {
        let (reply, _) = check(&[
            RegisterOp::Accept { ballot: ballot(3, 1), value: value("removed") },
            RegisterOp::Forget { ballot: ballot(3, 1) },
            RegisterOp::Prepare { ballot: ballot(7, 1) },
            RegisterOp::Accept { ballot: ballot(2, 1), value: value("late") },
        ]);
        assert_eq!(reply, RegisterReply::Accept(AcceptReply::Conflict { seen: ballot(7, 1), accepted: ballot(3, 1) }));
    }

    #[test]
    fn only_what_was_accepted_last_is_forgotten() {
        let (reply, state) = check(&[
            RegisterOp::Accept { ballot: ballot(3, 1), value: value("removed") },
            RegisterOp::Accept { ballot: ballot(4, 1), value: value("new") },
            RegisterOp::Forget { ballot: ballot(3, 1) },
        ]);
        assert_eq!(reply, RegisterReply::Forgotten(false));
        assert_eq!(state.unwrap().value, value("new"));
    }
}

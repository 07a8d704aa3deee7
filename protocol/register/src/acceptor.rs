use shoal_types::{AcceptReply, Ballot, PrepareReply, RegisterEntry, RegisterKey, RegisterOp, RegisterReply};

/// What an owner of a key does with an operation on its register.
///
/// A pure function of the durable state. Promises are *strict*: a ballot is
/// promised once. So even if two proposals happen to run under one ballot (a
/// peer that restarted, or two operations of one peer at a time), at most one
/// of them gets a majority of promises and goes on to write.
pub struct Acceptor;

impl Acceptor {
    /// The answer to `op`, and the state that must be durable *before* the
    /// answer is sent; `None` when the state is as it was.
    ///
    /// Operations on one key must be handled one after another: the state
    /// given is the one last made durable.
    pub fn handle(
        state: Option<&RegisterEntry>,
        key: &RegisterKey,
        op: &RegisterOp,
    ) -> (RegisterReply, Option<RegisterEntry>) {
        let promised = state.map_or(Ballot::ZERO, |entry| entry.promised.max(entry.accepted));
        let accepted = state.map_or(Ballot::ZERO, |entry| entry.accepted);
        let held = || state.and_then(|entry| entry.value.clone());
        match op {
            RegisterOp::Read => (RegisterReply::Read { accepted, value: held() }, None),
            RegisterOp::Prepare { ballot } if *ballot > promised => {
                let next = RegisterEntry { key: key.clone(), promised: *ballot, accepted, value: held() };
                (RegisterReply::Prepare(PrepareReply::Promised { accepted, value: held() }), Some(next))
            }
            RegisterOp::Prepare { .. } => (RegisterReply::Prepare(PrepareReply::Conflict { seen: promised }), None),
            // Said twice: the same proposal, hence the same value.
            RegisterOp::Accept { ballot, .. } if *ballot == accepted && *ballot > Ballot::ZERO => {
                (RegisterReply::Accept(AcceptReply::Accepted), None)
            }
            RegisterOp::Accept { ballot, value } if *ballot >= promised && *ballot > Ballot::ZERO => {
                let next =
                    RegisterEntry { key: key.clone(), promised: *ballot, accepted: *ballot, value: value.clone() };
                (RegisterReply::Accept(AcceptReply::Accepted), Some(next))
            }
            RegisterOp::Accept { .. } => {
                (RegisterReply::Accept(AcceptReply::Conflict { seen: promised, accepted }), None)
            }
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
        let mut state = None;
        let mut last = None;
        for op in ops {
            let (reply, next) = Acceptor::handle(state.as_ref(), &key, op);
            state = next.or(state);
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
        let (reply, next) = Acceptor::handle(state.as_ref(), &key, &op);
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
}

//! # A compare-and-set without a leader
//!
//! Shows: one proposal driven by hand among five acceptors, two of which are
//! gone; what is agreed is found by the next proposer, whoever that is.
//!
//! Run: `cargo run -p shoal-examples --bin register`

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_register::{Acceptor, Action, Change, Decision, Outcome, Proposal};
use shoal_types::{Ballot, PeerId, RegisterEntry, RegisterKey};

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

/// Acceptors that are there, with what each has on its disk.
type Acceptors = BTreeMap<PeerId, Option<RegisterEntry>>;

fn operate(
    proposer: PeerId,
    acceptors: &mut Acceptors,
    change: impl FnMut(Option<&Bytes>) -> Decision,
) -> Option<Outcome> {
    let key = RegisterKey::Object("bucket/name".parse().unwrap());
    let everyone = vec![(1..=5).map(peer).collect()];
    let mut proposal = Proposal::new(proposer, everyone, 7, change);
    let mut actions = proposal.start();
    loop {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::Send { step, to, op } => match acceptors.get_mut(&to) {
                    Some(state) => {
                        // Nothing was ever forgotten here: there is no horizon.
                        let (reply, change) = Acceptor::handle(state.as_ref(), Ballot::ZERO, &key, &op);
                        match change {
                            Some(Change::Keep(entry)) => *state = Some(entry),
                            Some(Change::Forget { .. }) => *state = None,
                            None => {}
                        }
                        next.extend(proposal.on_reply(step, to, reply));
                    }
                    None => next.extend(proposal.on_failure(step, to)),
                },
                Action::Retry { .. } => next.extend(proposal.on_retry()),
                Action::Done(outcome) => return Some(outcome),
                Action::Failed(_) => return None,
            }
        }
        actions = next;
    }
}

fn main() {
    // Peers 4 and 5 are gone: three of five are a quorum.
    let mut acceptors: Acceptors = (1..=3).map(|n| (peer(n), None)).collect();

    let put = operate(peer(1), &mut acceptors, |found| match found {
        None => Decision::Write(Some(Bytes::from_static(b"first"))),
        Some(_) => Decision::Refuse,
    });
    println!("peer 1 writes 'first' if there is nothing: {:?}", put.map(|outcome| outcome.ending));

    let put = operate(peer(2), &mut acceptors, |found| match found {
        None => Decision::Write(Some(Bytes::from_static(b"second"))),
        Some(_) => Decision::Refuse,
    });
    println!("peer 2 writes 'second' if there is nothing: {:?}", put.map(|outcome| outcome.ending));

    let read = operate(peer(3), &mut acceptors, |_| Decision::Leave);
    println!("peer 3 reads: {:?}", read.and_then(|outcome| outcome.value));

    acceptors.remove(&peer(3));
    let read = operate(peer(1), &mut acceptors, |_| Decision::Leave);
    println!("with two of five left: {}", if read.is_none() { "no quorum, and it says so" } else { "?" });
}

//! Registers: what proposers ask of an acceptor, and acceptors answer to a proposer.

use bytes::Bytes;
use shoal_register::{Acceptor, Action, Change, Decision, Proposal};
use shoal_types::{
    AcceptReply, Ballot, PeerId, PrepareReply, RegisterEntry, RegisterKey, RegisterOp, RegisterReply, wire,
};

use crate::script::{Script, with_length};

/// A proposal is over after so many answers, however bad they are: each phase
/// takes one of each acceptor, and rounds are bounded.
const ANSWERS_MAX: usize = 1_000;

fn peer(n: u8) -> PeerId {
    PeerId::from_bytes([n; 32])
}

pub(crate) fn run(bytes: &[u8]) {
    let mut script = Script(bytes);
    match script.byte() {
        Some(first) if first % 2 == 0 => acceptor(script),
        Some(first) => proposer(script, first % 4 == 3),
        None => {}
    }
}

/// Whatever it is asked, it never promises less, and holds nothing that it has not promised.
fn acceptor(mut script: Script<'_>) {
    let key = RegisterKey::Object("b/k".parse().unwrap());
    let (mut held, mut horizon): (Option<RegisterEntry>, Ballot) = (None, Ballot::ZERO);
    let promised = |held: &Option<RegisterEntry>, horizon| held.as_ref().map_or(horizon, |held| held.promised);
    while let Some(op) = script.value::<RegisterOp>() {
        let before = promised(&held, horizon);
        let (reply, change) = Acceptor::handle(held.as_ref(), horizon, &key, &op);
        match change {
            Some(Change::Keep(next)) => {
                assert!(next.accepted <= next.promised);
                assert!(held.as_ref().is_none_or(|held| held.accepted <= next.accepted));
                assert!(held.is_some() || next.promised > horizon, "what was forgotten is back");
                assert_eq!(next.key, key);
                held = Some(next);
            }
            Some(Change::Forget { horizon: raised }) => {
                assert!(
                    matches!(op, RegisterOp::Forget { ballot } if held.is_some_and(|held| held.accepted == ballot))
                );
                (held, horizon) = (None, raised);
            }
            None => {}
        }
        assert!(before <= promised(&held, horizon), "it promises less");
        assert_eq!(wire::decode::<RegisterReply>(&wire::encode(&reply).unwrap()).unwrap(), reply);
    }
}

/// Whatever it is answered, it comes to an end, and says so once.
fn proposer(mut script: Script<'_>, asks: bool) {
    let groups = vec![(1..=3).map(peer).collect(), (2..=4).map(peer).collect()];
    let write = |_: Option<&Bytes>| Decision::Write(Some(Bytes::from_static(b"ours")));
    let mut proposal = Proposal::new(peer(9), groups, 7, write);
    if asks {
        proposal = proposal.asking();
    }
    let mut actions = proposal.start();
    let mut waiting = Vec::new();
    for _ in 0..ANSWERS_MAX {
        let mut is_over = false;
        for action in std::mem::take(&mut actions) {
            match action {
                Action::Send { step, to, .. } => waiting.push(Some((step, to))),
                Action::Retry { .. } => waiting.push(None),
                Action::Done(_) | Action::Failed(_) => {
                    assert!(!is_over, "over twice");
                    is_over = true;
                }
            }
        }
        if is_over {
            return;
        }
        actions = match waiting.pop() {
            Some(Some((step, from))) => match script.value() {
                Some(reply) => proposal.on_reply(step, from, reply),
                None => proposal.on_failure(step, from),
            },
            Some(None) => proposal.on_retry(),
            None => panic!("it waits for nothing, and is not over"),
        };
    }
    panic!("it does not end");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let ballot = |counter, n| Ballot { counter, proposer: peer(n) };
    let value = Some(Bytes::from_static(b"value"));
    let ops = [
        RegisterOp::Prepare { ballot: ballot(1, 1) },
        RegisterOp::Accept { ballot: ballot(1, 1), value: value.clone() },
        RegisterOp::Prepare { ballot: ballot(u64::MAX, 255) },
        RegisterOp::Accept { ballot: ballot(2, 1), value: None },
        RegisterOp::Read,
        RegisterOp::Forget { ballot: ballot(u64::MAX, 255) },
        RegisterOp::Forget { ballot: ballot(1, 1) },
        RegisterOp::Accept { ballot: ballot(1, 1), value: Some(Bytes::from_static(b"late")) },
    ];
    let replies = [
        RegisterReply::Prepare(PrepareReply::Promised { accepted: Ballot::ZERO, value: None }),
        RegisterReply::Prepare(PrepareReply::Promised { accepted: ballot(0, 3), value }),
        RegisterReply::Prepare(PrepareReply::Conflict { seen: ballot(5, 2) }),
        RegisterReply::Accept(AcceptReply::Accepted),
        RegisterReply::Accept(AcceptReply::Conflict { seen: ballot(u64::MAX, 255), accepted: ballot(4, 3) }),
        RegisterReply::Read { accepted: ballot(4, 3), value: None },
        RegisterReply::Read { accepted: Ballot::ZERO, value: None },
        RegisterReply::Forgotten(true),
    ];
    let script = |first: u8, frames: Vec<Bytes>| {
        std::iter::once(first).chain(frames.iter().flat_map(|frame| with_length(frame))).collect::<Vec<u8>>()
    };
    let frames_of = |replies: &[RegisterReply]| -> Vec<Bytes> {
        replies.iter().map(|reply| wire::encode(reply).unwrap()).collect()
    };
    let [nothing, value, conflict, accepted, refused, held, empty, _] = &replies;
    let well = [vec![nothing.clone(); 4], vec![accepted.clone(); 4]].concat();
    let ill = [vec![value.clone(); 4], vec![refused.clone(); 4], vec![conflict.clone(); 4]].concat();
    vec![
        script(0, ops.iter().map(|op| wire::encode(op).unwrap()).collect()),
        script(0, [1, 6, 7, 2].map(|nth| wire::encode(&ops[nth]).unwrap()).to_vec()),
        script(1, frames_of(&well)),
        script(1, frames_of(&ill)),
        script(1, frames_of(&replies)),
        script(3, frames_of(&[vec![held.clone(); 2], vec![empty.clone(); 2], well.clone()].concat())),
    ]
}

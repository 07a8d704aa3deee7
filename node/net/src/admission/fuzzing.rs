use shoal_types::{PeerId, PeerInfo};

use super::Refusal;
use super::messages::{BODY_BYTES_MAX, HEAD_BYTES, HELLO_BYTES, Hello, Message, PROOF_BYTES, PROOFS};
use crate::address;
use crate::link::Role;

const VERSION: u16 = 1;

/// All that one side of an admission may hear: a hello, then messages.
pub fn admission(bytes: &[u8]) {
    let Some((hello, mut rest)) = bytes.split_first_chunk::<HELLO_BYTES>() else { return };
    if let Ok(hello) = Hello::decode(hello, VERSION) {
        assert_eq!(Hello::decode(&hello.encode(), VERSION), Ok(hello));
    }
    while let Some((head, body)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let Some(bytes) = Message::body_bytes(*head) else { return };
        assert!(bytes <= BODY_BYTES_MAX);
        let Some((body, after)) = body.split_at_checked(bytes) else { return };
        rest = after;
        let Some(message) = Message::decode(head[0], body) else { return };
        if let Message::Welcome(_, info) | Message::Info(info) = &message {
            assert!(info.addresses.len() <= PeerInfo::ADDRESSES_MAX);
            assert!(info.addresses.iter().all(|address| address.len() <= address::BYTES_MAX));
        }
        // What is cut off makes it no longer.
        let again = message.encode().expect("no longer than it was");
        assert!(again.len() <= HEAD_BYTES + bytes);
        assert_eq!(Message::decode(again[0], &again[HEAD_BYTES..]), Some(message));
    }
}

/// Admissions as both sides would have them.
pub fn admissions() -> Vec<Vec<u8>> {
    let info = PeerInfo {
        id: PeerId::from_bytes([3; 32]),
        name: "minnow".into(),
        zone: "a".into(),
        weight: 100,
        addresses: vec!["10.0.0.1:7000".into(), "minnow.example:7000".into()],
        version: "0.1.0".into(),
        incarnation: 1_800_000_000_000,
        machine: 4,
        pid: 99,
        slots: 2,
        gateway: Some("127.0.0.1:7401".into()),
        leaves: false,
        revision: 0,
        mesh: None,
        replicas: None,
    };
    let said: [&[Message]; 3] = [
        &[Message::Welcome([2; PROOF_BYTES], Box::new(info.clone())), Message::Done],
        &[Message::Proof([[1; PROOF_BYTES]; PROOFS]), Message::Info(Box::new(info))],
        &[Message::Proof([[1; PROOF_BYTES]; PROOFS]), Message::Refuse(Refusal::Stale)],
    ];
    let after_hello = |messages: &[Message]| {
        let mut bytes = Hello { version: VERSION, role: Role::Bulk, nonce: [5; 32] }.encode().to_vec();
        bytes.extend(messages.iter().filter_map(Message::encode).flatten());
        bytes
    };
    said.map(after_hello).into()
}

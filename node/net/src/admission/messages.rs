//! What admission says, byte by byte.
//!
//! ```text
//!   hello     8 magic | 2 version (LE) | 1 role | 32 nonce
//!   message   1 kind  | 2 length (LE)  | body
//! ```

use shoal_types::{PeerId, PeerInfo};

use super::Refusal;
use crate::Secret;
use crate::link::Role;

const MAGIC: &[u8; 8] = b"shoaladm";

pub(super) const HELLO_BYTES: usize = 43;
pub(super) const HEAD_BYTES: usize = 3;
pub(super) const PROOF_BYTES: usize = 32;

/// Secrets by which a dialer may be admitted: the present one and the one before.
pub(crate) const PROOFS: usize = 2;

/// The longest body: a proof, and 16 addresses of the longest kind with room
/// for names.
pub(super) const BODY_BYTES_MAX: usize = 8 << 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) version: u16,
    pub(super) role: Role,
    pub(super) nonce: [u8; 32],
}

impl Hello {
    pub(super) fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10] = self.role.code();
        bytes[11..].copy_from_slice(&self.nonce);
        bytes
    }

    /// A version that is not ours may have roles that we do not know, so the
    /// version is told apart from what is not a hello at all.
    pub(super) fn decode(bytes: &[u8; HELLO_BYTES], ours: u16) -> Result<Self, BadHello> {
        if &bytes[..8] != MAGIC {
            return Err(BadHello::Malformed);
        }
        let version = u16::from_le_bytes([bytes[8], bytes[9]]);
        if version != ours {
            return Err(BadHello::Version(version));
        }
        let role = Role::from_code(bytes[10]).ok_or(BadHello::Malformed)?;
        let mut nonce = [0; 32];
        nonce.copy_from_slice(&bytes[11..]);
        Ok(Self { version, role, nonce })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadHello {
    Malformed,
    Version(u16),
}

/// What follows the hellos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// One for each secret that the dialer knows; what is left over is random.
    Proof([[u8; PROOF_BYTES]; PROOFS]),
    Welcome([u8; PROOF_BYTES], Box<PeerInfo>),
    Info(Box<PeerInfo>),
    Done,
    Refuse(Refusal),
}

impl Message {
    /// `None` when what the peer says of itself is too long to be sent.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; HEAD_BYTES];
        let kind = match self {
            Self::Proof(proof) => {
                bytes.extend_from_slice(proof.as_flattened());
                0
            }
            Self::Welcome(proof, info) => {
                bytes.extend_from_slice(proof);
                bytes = postcard::to_extend(info, bytes).ok()?;
                1
            }
            Self::Info(info) => {
                bytes = postcard::to_extend(info, bytes).ok()?;
                2
            }
            Self::Done => 3,
            Self::Refuse(refusal) => {
                bytes.push(refusal.code());
                4
            }
        };
        let body = bytes.len() - HEAD_BYTES;
        if body > BODY_BYTES_MAX {
            return None;
        }
        bytes[0] = kind;
        bytes[1..HEAD_BYTES].copy_from_slice(&u16::try_from(body).ok()?.to_le_bytes());
        Some(bytes)
    }

    /// How long the body after this head is; `None` when it may not be so long.
    pub(super) fn body_bytes(head: [u8; HEAD_BYTES]) -> Option<usize> {
        let bytes = usize::from(u16::from_le_bytes([head[1], head[2]]));
        (bytes <= BODY_BYTES_MAX).then_some(bytes)
    }

    pub(super) fn decode(kind: u8, body: &[u8]) -> Option<Self> {
        match kind {
            0 => {
                let (proofs, rest) = body.as_chunks::<PROOF_BYTES>();
                Some(Self::Proof(proofs.try_into().ok().filter(|_| rest.is_empty())?))
            }
            1 => {
                let (proof, info) = body.split_first_chunk::<PROOF_BYTES>()?;
                Some(Self::Welcome(*proof, decode_info(info)?))
            }
            2 => Some(Self::Info(decode_info(body)?)),
            3 => body.is_empty().then_some(Self::Done),
            4 => match body {
                [code] => Some(Self::Refuse(Refusal::from_code(*code)?)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn decode_info(bytes: &[u8]) -> Option<Box<PeerInfo>> {
    let (info, rest) = postcard::take_from_bytes::<PeerInfo>(bytes).ok()?;
    (rest.is_empty() && info.fits()).then(|| Box::new(info))
}

/// Everything that a proof binds together.
#[derive(Clone, Copy)]
pub(super) struct Transcript {
    pub(super) version: u16,
    pub(super) role: Role,
    pub(super) dialer: PeerId,
    pub(super) listener: PeerId,
    pub(super) dialer_nonce: [u8; 32],
    pub(super) listener_nonce: [u8; 32],
}

/// Whose proof it is.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Dialer,
    Listener,
}

impl Transcript {
    /// One for each of the first [`PROOFS`] secrets. Those that are missing are
    /// made up, so that nobody sees how many there are.
    pub(super) fn proofs(&self, secrets: &[Secret], side: Side) -> [[u8; PROOF_BYTES]; PROOFS] {
        let proof = |n: usize| secrets.get(n).map(|secret| *self.proof(secret.key(), side).as_bytes());
        std::array::from_fn(|n| proof(n).unwrap_or_else(rand::random))
    }

    /// Compare with `==`: it takes the same time wherever two differ.
    pub(super) fn proof(&self, key: &[u8; 32], side: Side) -> blake3::Hash {
        let mut mac = blake3::Hasher::new_keyed(key);
        mac.update(b"shoal admission proof");
        mac.update(&[match side {
            Side::Dialer => 0,
            Side::Listener => 1,
        }]);
        mac.update(&self.version.to_le_bytes());
        mac.update(&[self.role.code()]);
        mac.update(self.dialer.as_bytes());
        mac.update(self.listener.as_bytes());
        mac.update(&self.dialer_nonce);
        mac.update(&self.listener_nonce);
        mac.finalize()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn info() -> PeerInfo {
        PeerInfo {
            id: PeerId::from_bytes([3; 32]),
            name: "minnow".into(),
            zone: "a".into(),
            weight: 100,
            addresses: vec!["10.0.0.1:7000".into()],
            version: "0.1.0".into(),
            incarnation: 12,
            machine: 4,
            pid: 99,
            slots: 2,
            gateway: None,
            leaves: false,
            revision: 0,
            mesh: None,
            replicas: None,
        }
    }

    #[test]
    fn every_message_reads_back_as_it_was_written() {
        let messages = [
            Message::Proof([[1; 32], [2; 32]]),
            Message::Welcome([2; 32], Box::new(info())),
            Message::Info(Box::new(info())),
            Message::Done,
            Message::Refuse(Refusal::WrongSecret),
        ];
        for message in messages {
            let bytes = message.encode().unwrap();
            let (head, body) = bytes.split_first_chunk::<HEAD_BYTES>().unwrap();
            assert_eq!(Message::body_bytes(*head), Some(body.len()));
            assert_eq!(Message::decode(head[0], body), Some(message));
        }
    }

    #[test]
    fn a_hello_of_another_version_says_which() {
        let hello = Hello { version: 2, role: Role::Bulk, nonce: [5; 32] };
        assert_eq!(Hello::decode(&hello.encode(), 2), Ok(hello));
        assert_eq!(Hello::decode(&hello.encode(), 1), Err(BadHello::Version(2)));
    }

    #[test]
    fn a_proof_serves_no_other_direction_role_peer_or_nonce() {
        let transcript = Transcript {
            version: 1,
            role: Role::Control,
            dialer: PeerId::from_bytes([1; 32]),
            listener: PeerId::from_bytes([2; 32]),
            dialer_nonce: [3; 32],
            listener_nonce: [4; 32],
        };
        let key = [7; 32];
        let proof = transcript.proof(&key, Side::Dialer);
        let others = [
            transcript.proof(&key, Side::Listener),
            transcript.proof(&[8; 32], Side::Dialer),
            Transcript { role: Role::Bulk, ..transcript }.proof(&key, Side::Dialer),
            Transcript { version: 2, ..transcript }.proof(&key, Side::Dialer),
            Transcript { dialer: transcript.listener, listener: transcript.dialer, ..transcript }
                .proof(&key, Side::Dialer),
            Transcript { listener_nonce: [5; 32], ..transcript }.proof(&key, Side::Dialer),
        ];
        assert!(others.iter().all(|other| *other != proof));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoders_panic(
            hello in proptest::array::uniform32(any::<u8>()),
            kind in 0u8..8,
            body in proptest::collection::vec(any::<u8>(), 0..600),
        ) {
            let mut bytes = [0; HELLO_BYTES];
            bytes[..32].copy_from_slice(&hello);
            let _ = Hello::decode(&bytes, 1);
            bytes[..8].copy_from_slice(MAGIC);
            let _ = Hello::decode(&bytes, 1);
            let _ = Message::body_bytes([kind, hello[0], hello[1]]);
            let _ = Message::decode(kind, &body);
        }

        #[test]
        fn a_message_with_a_flipped_byte_is_another_or_none(at in 0usize..40, flip in 1u8..255) {
            let message = Message::Info(Box::new(info()));
            let mut bytes = message.encode().unwrap();
            let at = HEAD_BYTES + at % (bytes.len() - HEAD_BYTES);
            bytes[at] ^= flip;
            prop_assert_ne!(Message::decode(2, &bytes[HEAD_BYTES..]), Some(message));
        }
    }
}

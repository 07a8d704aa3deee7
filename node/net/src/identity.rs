//! A peer's key, as Shoal and as libp2p name it.

use libp2p::identity::{Keypair, PublicKey, ed25519};
use shoal_types::{Error, PeerId, Result};
use zeroize::Zeroizing;

/// The peer that an identity (an ed25519 seed) makes: its public key.
pub fn peer_id(identity: &[u8; 32]) -> PeerId {
    // Every 32 bytes are a seed, so the other arm is never taken.
    keypair(identity).ok().and_then(|key| from_public(&key.public())).unwrap_or(PeerId::from_bytes([0; 32]))
}

/// The identity as libp2p wants it.
pub(crate) fn keypair(identity: &[u8; 32]) -> Result<Keypair> {
    let mut seed = Zeroizing::new(*identity);
    Keypair::ed25519_from_bytes(seed.as_mut_slice())
        .map_err(|error| Error::bug(format!("an ed25519 seed was refused: {error}")))
}

/// libp2p's name of a peer: a multihash that holds the whole key.
pub(crate) fn to_libp2p(peer: PeerId) -> Option<libp2p::PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(peer.as_bytes()).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The peer of a libp2p name; `None` when its key is not ed25519.
pub(crate) fn from_libp2p(peer: &libp2p::PeerId) -> Option<PeerId> {
    let multihash = peer.as_ref();
    const IDENTITY: u64 = 0;
    if multihash.code() != IDENTITY {
        return None;
    }
    from_public(&PublicKey::try_decode_protobuf(multihash.digest()).ok()?)
}

fn from_public(key: &PublicKey) -> Option<PeerId> {
    let key = key.clone().try_into_ed25519().ok()?;
    Some(PeerId::from_bytes(key.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_keeps_its_name_through_libp2p() {
        let identity = [9; 32];
        let peer = peer_id(&identity);
        let theirs = keypair(&identity).unwrap().public().to_peer_id();
        assert_eq!(to_libp2p(peer), Some(theirs));
        assert_eq!(from_libp2p(&theirs), Some(peer));
    }

    #[test]
    fn a_name_that_is_no_ed25519_key_is_nobodys() {
        assert_eq!(from_libp2p(&libp2p::PeerId::random()), None);
    }
}

//! What admits a peer to its mesh.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A secret of a mesh, as people pass it on. Never printed by accident.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretText(String);

impl SecretText {
    /// No secret is longer, in bytes.
    pub const BYTES_MAX: usize = 1 << 10;

    /// Bytes of randomness in a secret that a peer draws.
    pub const RANDOM_BYTES: usize = 20;

    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// 160 bits of randomness as 32 characters that survive a shell.
    pub fn of_random(bytes: [u8; Self::RANDOM_BYTES]) -> Self {
        Self(crate::ids::to_base32(&bytes))
    }

    /// The secret itself: to be handed to admission, or to its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(..)")
    }
}

/// The secrets of a mesh as one peer knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Counts the changes; the later of two is in force.
    pub generation: u64,
    pub current: SecretText,
    /// The one before, which admits too until all members know the present one.
    pub previous: Option<SecretText>,
}

impl Secrets {
    /// Those of a mesh whose secret was never changed.
    pub fn first(current: SecretText) -> Self {
        Self { generation: 0, current, previous: None }
    }

    /// All that admit, the present one first.
    pub fn admitting(&self) -> impl Iterator<Item = &SecretText> {
        std::iter::once(&self.current).chain(&self.previous)
    }

    /// Whether they are of a size to be believed when they come from another peer.
    pub fn fit(&self) -> bool {
        self.admitting().all(|text| text.reveal().len() <= SecretText::BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_printed_by_nobody() {
        let secrets = Secrets::first(SecretText::of_random([7; 20]));
        assert_eq!(secrets.current.reveal().len(), 32);
        assert!(!format!("{secrets:?}").contains(secrets.current.reveal()));
    }
}

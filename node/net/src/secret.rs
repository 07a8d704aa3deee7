use std::fmt;

use data_encoding::BASE32_NOPAD;
use shoal_types::{Error, Result};
use zeroize::{Zeroize, Zeroizing};

/// What makes a peer a member of a mesh: knowing this.
///
/// Kept only as the key derived from it, wiped when dropped, and never printed.
#[derive(Clone)]
pub struct Secret([u8; 32]);

impl Secret {
    /// A shorter text is too easily guessed.
    pub const CHARS_MIN: usize = 16;

    const RANDOM_BYTES: usize = 20;

    /// From the text that the mesh's owner handed out; white space around it
    /// does not count.
    pub fn from_text(text: &str) -> Result<Self> {
        let text = text.trim();
        let chars = text.chars().count();
        if chars < Self::CHARS_MIN {
            return Err(Error::invalid(
                format!("the secret has {chars} characters, {} are the least", Self::CHARS_MIN),
                "take the one that the mesh's first peer made, or a random text of 32 characters",
            ));
        }
        Ok(Self(blake3::derive_key("shoal 2026-01 the secret of a mesh, for admission", text.as_bytes())))
    }

    /// A new secret's text, 160 bits strong, from a source of randomness.
    pub fn generate(fill: &mut dyn FnMut(&mut [u8])) -> String {
        let mut bytes = Zeroizing::new([0; Self::RANDOM_BYTES]);
        fill(bytes.as_mut_slice());
        BASE32_NOPAD.encode(bytes.as_slice()).to_ascii_lowercase()
    }

    /// The key of admission's proofs.
    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_is_refused_with_a_hint() {
        let error = Secret::from_text("  fifteen chars!! \n").unwrap_err();
        assert!(error.to_string().contains("15 characters"), "{error}");
        assert!(!error.hint().is_empty());
    }

    #[test]
    fn white_space_around_it_does_not_count_and_nothing_of_it_is_printed() {
        let text = Secret::generate(&mut |bytes| bytes.fill(7));
        let one = Secret::from_text(&text).unwrap();
        let two = Secret::from_text(&format!(" {text}\n")).unwrap();
        assert_eq!(one.key(), two.key());
        assert_eq!(format!("{one:?}"), "Secret(..)");
    }

    #[test]
    fn a_generated_secret_is_32_characters_that_survive_a_shell() {
        let text = Secret::generate(&mut |bytes| bytes.copy_from_slice(&[0xa5; 20]));
        assert_eq!(text.len(), 32);
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}

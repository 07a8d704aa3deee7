//! Bytes as a script: what a state machine is told, one thing after the other.

use serde::de::DeserializeOwned;
use shoal_types::wire;

/// What is left of a script.
pub(crate) struct Script<'a>(pub(crate) &'a [u8]);

impl<'a> Script<'a> {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    /// A length of two bytes, and as many bytes; fewer where there are no more.
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (bytes, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)).min(rest.len()));
        self.0 = rest;
        Some(bytes)
    }

    /// A frame in such bytes; the next one where one does not decode.
    pub(crate) fn value<T: DeserializeOwned>(&mut self) -> Option<T> {
        loop {
            let frame = self.bytes()?;
            if let Ok(value) = wire::decode(frame) {
                return Some(value);
            }
        }
    }
}

/// Bytes as [`Script::bytes`] reads them.
pub(crate) fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("a short seed");
    [&length.to_le_bytes(), bytes].concat()
}

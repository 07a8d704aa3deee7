//! Frames: a format version and a postcard body.
//!
//! ```text
//!   0        1                    n
//!   +--------+--------------------+
//!   | version| postcard body      |
//!   +--------+--------------------+
//! ```
//!
//! Whoever reads bounds the frame before it comes here (the transport refuses
//! longer ones); postcard allocates no more than the input can hold, and
//! bytes left over are refused.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

/// The version of every frame that this build writes, and the only one that it reads.
pub const VERSION: u8 = 1;

/// The longest frame of a call or of a flow, in bytes.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The longest gossip frame, in bytes.
pub const GOSSIP_BYTES_MAX: usize = 64 << 10;

/// `value` as a frame.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, Error> {
    postcard::to_extend(value, vec![VERSION])
        .map(Bytes::from)
        .map_err(|error| Error::bug(format!("cannot encode a {}: {error}", std::any::type_name::<T>())))
}

/// The value in a frame; [`Error::BadFrame`] when it is not one, whole.
pub fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<T, Error> {
    let bad = |what: String| Error::BadFrame { what };
    let (version, body) = frame.split_first().ok_or_else(|| bad("an empty frame".into()))?;
    if *version != VERSION {
        return Err(bad(format!("frame version {version}, this build reads {VERSION}")));
    }
    let (value, rest) = postcard::take_from_bytes(body)
        .map_err(|error| bad(format!("not a {}: {error}", std::any::type_name::<T>())))?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(bad(format!("{} bytes after a {}", rest.len(), std::any::type_name::<T>())))
    }
}

#[cfg(test)]
mod tests;

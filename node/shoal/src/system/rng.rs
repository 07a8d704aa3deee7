use std::sync::{Mutex, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng as _, SeedableRng, TryRng};
use shoal_ports::Rng;
use shoal_types::{Error, Result};

/// Cryptographic randomness, seeded by the operating system: what a peer
/// draws (mesh ids, job ids) must not be guessable or met twice.
#[derive(Debug)]
pub(crate) struct OsRng {
    // One short lock per draw; draws are few.
    stream: Mutex<StdRng>,
}

impl OsRng {
    pub(crate) fn new() -> Result<Self> {
        let stream = StdRng::try_from_rng(&mut SysRng).map_err(|error| no_randomness(&error))?;
        Ok(Self { stream: Mutex::new(stream) })
    }

    /// Bytes for a key, straight from the operating system.
    pub(crate) fn key<const N: usize>() -> Result<[u8; N]> {
        let mut bytes = [0; N];
        SysRng.try_fill_bytes(&mut bytes).map_err(|error| no_randomness(&error))?;
        Ok(bytes)
    }
}

impl Rng for OsRng {
    fn next_u64(&self) -> u64 {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }
}

fn no_randomness(error: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("the operating system gives no randomness: {error}"), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_peers_draw_different_numbers() {
        let (one, other) = (OsRng::new().unwrap(), OsRng::new().unwrap());
        assert_ne!((one.next_u64(), one.next_u64()), (other.next_u64(), other.next_u64()));
        assert_ne!(OsRng::key::<32>().unwrap(), OsRng::key::<32>().unwrap());
    }
}

//! What the store promises, on a real directory, on disks that fail, and on
//! one whose power is cut.

mod claims;
mod copies;
mod faults;
mod faulty;
mod kill;
mod logs;
mod power;
mod power_cut;

use bytes::Bytes;
use shoal_types::{Ballot, ChunkId, PeerId, RegisterEntry, RegisterKey};

use crate::StoreConfig;

fn peer() -> PeerId {
    PeerId::from_bytes([7; 32])
}

/// Defaults, with a reserve that a small test machine has.
fn config() -> StoreConfig {
    StoreConfig { reserve_bytes: Some(1 << 20), register_log_bytes: 1 << 10, ..StoreConfig::new(peer(), [5; 32]) }
}

/// The `n`th chunk: some kilobytes that depend on `n` only.
fn chunk(n: u64) -> (ChunkId, Vec<u8>) {
    let bytes: Vec<u8> =
        (0..1000 + n % 3000).flat_map(|at| (at ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()).collect();
    (ChunkId::of(&bytes), bytes)
}

/// The register of `name` as it is after `counter` changes.
fn entry(name: &str, counter: u64) -> RegisterEntry {
    let ballot = Ballot { counter, proposer: peer() };
    RegisterEntry {
        key: RegisterKey::Object(name.parse().unwrap()),
        promised: ballot,
        accepted: ballot,
        value: Some(Bytes::from(format!("{name} {counter}"))),
    }
}

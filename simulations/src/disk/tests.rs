//! Each fault as the real store sees it.

mod faults;
mod footprint;
mod power;

use bytes::Bytes;
use shoal_store::{LocalStore, StoreConfig};
use shoal_types::{Ballot, ChunkId, PeerId, RegisterEntry, RegisterKey, Result};

use super::{DiskConfig, SimDisk};
use crate::Random;

fn disk(seed: u64) -> SimDisk {
    SimDisk::new(seed, DiskConfig::default())
}

fn open(disk: &SimDisk) -> Result<LocalStore> {
    LocalStore::open(disk.mount(), config())
}

fn peer() -> PeerId {
    PeerId::from_bytes([7; 32])
}

fn config() -> StoreConfig {
    StoreConfig {
        cache_bytes: 0,
        register_cache_bytes: 128 << 10,
        register_log_bytes: 0,
        ..StoreConfig::new(peer(), [5; 32])
    }
}

/// The `n`th chunk of so many bytes.
fn chunk(n: u64, bytes: usize) -> (ChunkId, Vec<u8>) {
    let mut random = Random::from_seed(n);
    let bytes: Vec<u8> = (0..bytes).map(|_| random.below(256) as u8).collect();
    (ChunkId::of(&bytes), bytes)
}

fn key(name: u64) -> RegisterKey {
    RegisterKey::Object(format!("b/{name}").parse().unwrap())
}

/// A register as it is after `counter` changes.
fn entry(name: u64, counter: u64) -> RegisterEntry {
    let ballot = Ballot { counter, proposer: peer() };
    let value = Some(Bytes::from(format!("{name} {counter}").repeat(10)));
    RegisterEntry { key: key(name), promised: ballot, accepted: ballot, value }
}

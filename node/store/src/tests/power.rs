//! The power is cut, or the process killed, after any operation: what was acknowledged is there, the
//! rest is there or not, and the store opens.

use std::collections::BTreeMap;
use std::sync::Arc;

use shoal_ports::Store;
use shoal_types::RegisterKey;

use super::power_cut::{LeftOut, PowerCut};
use super::{chunk, config, entry};
use crate::LocalStore;

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 29)) % bound
    }
}

/// What is known of one: the counters of the last change that was acknowledged,
/// and of the last one tried.
#[derive(Default)]
struct Register {
    acknowledged: u64,
    tried: u64,
    /// It was told to forget it since it last wrote it.
    may_be_gone: bool,
}

/// Writes until the power or the process goes, several times over; what was lost, if anything.
fn run(seed: u64, left_out: LeftOut) -> Result<(), String> {
    let mut random = Random(seed);
    let mut disk = PowerCut::new(random.below(220), left_out);
    let mut chunks = Vec::new();
    let mut registers: BTreeMap<u64, Register> = BTreeMap::new();
    // The chunk whose put failed.
    let mut doubtful = None;
    for cut in 0..6u64 {
        let opened = LocalStore::open(Arc::new(disk.clone()), config());
        if let Ok(store) = &opened {
            verify(store, &chunks, &registers).map_err(|lost| format!("seed {seed}, after {cut} cuts: {lost}"))?;
            for step in 1.. {
                let counter = cut * 1000 + step;
                let name = random.below(5);
                if random.below(6) == 0 {
                    // Gone with a horizon above it, or there as before.
                    let horizon = entry("b/0", counter).promised;
                    let known = registers.entry(name).or_default();
                    (known.tried, known.may_be_gone) = (counter, true);
                    if store.register_forget(&[key(name)], horizon).is_ok() {
                        known.acknowledged = counter;
                    }
                    continue;
                }
                let n = doubtful.take().unwrap_or_else(|| random.below(400));
                let known = registers.entry(name).or_default();
                known.tried = counter;
                let written = store.register_put(&[entry(&format!("b/{name}"), counter).into()]);
                if written.is_ok() {
                    (known.acknowledged, known.may_be_gone) = (counter, false);
                }
                // An error of settling is that of a disk without power.
                if random.below(4) == 0 {
                    let _ = store.register_settle();
                }
                let kept = store.chunk_put(chunk(n).0, &chunk(n).1);
                match kept {
                    Ok(()) => chunks.push(n),
                    Err(_) => doubtful = Some(n),
                }
                if written.is_err() && kept.is_err() {
                    break;
                }
            }
        }
        drop(opened);
        let operations = random.below(300);
        disk = match random.below(3) {
            0 => disk.reopened(operations),
            _ => disk.restarted(operations, |bound| random.below(bound)),
        };
    }
    let disk = disk.restarted(u64::MAX, |bound| random.below(bound));
    let store = LocalStore::open(Arc::new(disk), config()).map_err(|error| format!("seed {seed}: {error}"))?;
    verify(&store, &chunks, &registers).map_err(|lost| format!("seed {seed}: {lost}"))
}

fn key(name: u64) -> RegisterKey {
    RegisterKey::Object(format!("b/{name}").parse().unwrap())
}

fn verify(store: &LocalStore, chunks: &[u64], registers: &BTreeMap<u64, Register>) -> Result<(), String> {
    for n in chunks {
        if !matches!(store.chunk_get(chunk(*n).0, None), Ok(Some(bytes)) if bytes == chunk(*n).1) {
            return Err(format!("chunk {n}"));
        }
    }
    for (name, Register { acknowledged, tried, may_be_gone }) in registers {
        let found = store.register_get(&key(*name)).map_err(|error| error.to_string())?;
        let horizon = store.register_horizon().map_err(|error| error.to_string())?;
        if found.is_none() && *may_be_gone && horizon.counter >= *acknowledged {
            continue;
        }
        let counter = found.map_or(0, |entry| entry.promised.counter);
        if !(*acknowledged..=*tried).contains(&counter) {
            return Err(format!("register {name} is at {counter}, {acknowledged} was acknowledged, {tried} was tried"));
        }
    }
    Ok(())
}

#[test]
fn what_was_acknowledged_survives_a_power_cut_at_any_moment() {
    for seed in 0..200 {
        run(seed, LeftOut::Nothing).unwrap();
    }
}

#[test]
fn leaving_out_a_sync_is_caught() {
    for left_out in [LeftOut::FileSync, LeftOut::DirSync] {
        assert!((0..50).any(|seed| run(seed, left_out).is_err()), "{left_out:?}");
    }
}

//! Each invariant fails where what it says does not hold.

mod ledger;
mod mesh;
mod store;

use std::time::Duration;

use super::{Invariant, Moment};
use crate::disk::DiskConfig;
use crate::network::NetworkConfig;
use crate::world::{HostSpec, World, WorldConfig};

/// A world of hosts that are down.
fn world(hosts: usize) -> World {
    let config = WorldConfig {
        replicas: 3,
        timing: shoal_runtime::Timing {
            repair_delay: Duration::from_secs(5),
            repair_interval: Duration::from_secs(10),
            ..shoal_runtime::Timing::default()
        },
        bounds: shoal_runtime::Bounds::default(),
        planted: None,
        mixes_attempts: false,
        chunk_bytes: 4096,
        bytes_scale: 1,
        inbound_max: 4096,
    };
    let spec = HostSpec { zone: "a".into(), weight: 100, slots: 2, disk: DiskConfig::default(), is_late: false };
    World::build(7, config, NetworkConfig::default(), vec![spec; hosts])
}

/// What was found to be broken: the invariant, and its words.
fn broken(world: &World) -> Vec<(&'static str, String)> {
    world.state().broken.iter().map(|(broken, _)| (broken.invariant, broken.what.clone())).collect()
}

/// Looks once; what was found must say all of `words`, or be nothing if there are none.
fn check(world: &World, invariant: &mut dyn Invariant, moment: Moment, words: &[&str]) {
    invariant.check(world, moment);
    let found = broken(world);
    match found.first() {
        None => assert!(words.is_empty(), "nothing was found, {words:?} was expected"),
        Some((name, what)) => {
            assert_eq!(*name, invariant.name());
            assert!(!words.is_empty(), "{what}");
            for word in words {
                assert!(what.contains(word), "{what}");
            }
        }
    }
    let mut state = world.state();
    state.broken.clear();
    // The world goes on, to be looked at again.
    state.stopped = false;
}

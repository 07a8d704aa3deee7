//! Who is there and who is not is told apart on a busy machine too.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::mesh::{Mesh, Peer, wait};

/// For how long the machine is kept busy: longer than it takes to find a death.
const LOAD: Duration = Duration::from_secs(15);

/// Threads that do nothing but count, for each core.
const BURNERS_PER_CORE: usize = 4;

fn states(peer: &Peer) -> Option<Vec<String>> {
    let state = |member: &Value| member["state"].as_str().map(str::to_owned);
    peer.status()?["members"].as_array()?.iter().map(state).collect()
}

fn signal(peer: &Peer, signal: &str) {
    assert!(Command::new("kill").args([signal, &peer.pid().to_string()]).status().unwrap().success());
}

#[test]
fn peers_on_a_machine_under_full_load_are_not_held_dead() {
    let mesh = Mesh::of(3);
    let over = AtomicBool::new(false);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let seen = std::thread::scope(|scope| {
        for _ in 0..cores * BURNERS_PER_CORE {
            scope.spawn(|| {
                let mut count = 0u64;
                while !over.load(Relaxed) {
                    count = std::hint::black_box(count.wrapping_add(1));
                }
            });
        }
        let (began, mut seen) = (Instant::now(), Vec::new());
        while began.elapsed() < LOAD {
            seen.extend(mesh.peers.iter().filter_map(states));
        }
        over.store(true, Relaxed);
        seen
    });
    assert!(seen.len() >= 3, "they were asked {} times", seen.len());
    let dead = seen.iter().flatten().filter(|state| *state == "dead").count();
    assert_eq!(dead, 0, "in {} answers", seen.len());
    mesh.settle();
}

#[test]
fn one_that_stood_still_is_held_dead_and_then_one_of_them_again() {
    let mesh = Mesh::of(3);
    signal(&mesh.peers[2], "-STOP");
    for peer in &mesh.peers[..2] {
        wait("it to be held dead", || states(peer)?.iter().any(|state| state == "dead").then_some(()));
    }
    signal(&mesh.peers[2], "-CONT");
    mesh.settle();
    for peer in &mesh.peers {
        assert_eq!(states(peer).unwrap().len(), 3, "nobody is there twice");
    }
}

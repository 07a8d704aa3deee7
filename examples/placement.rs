//! # Who owns a chunk, and what moves when a peer goes
//!
//! Shows: owners are computed, not looked up; shares follow the weights; a
//! leaving member moves only what it held.
//!
//! Run: `cargo run -p shoal-examples --bin placement`

use std::collections::BTreeMap;

use shoal_placement::{PlacementKey, owners};
use shoal_types::{ChunkId, Member, PeerId};

const CHUNKS: u32 = 10_000;
const REPLICAS: usize = 3;

fn main() {
    let members: Vec<Member> = (1..=6u8)
        .map(|n| Member {
            id: PeerId::from_bytes(*ChunkId::of(&[n]).as_bytes()),
            name: format!("peer-{n}"),
            zone: format!("rack-{}", n % 3),
            // The last machine has a disk twice as large.
            weight: if n == 6 { 200 } else { 100 },
            revision: 0,
            since: 0,
        })
        .collect();
    let before = place(&members);
    println!("{CHUNKS} chunks, {REPLICAS} replicas each, in distinct racks:");
    for member in &members {
        let held = before.values().filter(|owners| owners.contains(&member.id)).count();
        println!("  {} ({}, weight {}) holds {held}", member.name, member.zone, member.weight);
    }

    let left: Vec<Member> = members[1..].to_vec();
    let after = place(&left);
    let moved: usize =
        after.iter().map(|(chunk, owners)| owners.iter().filter(|peer| !before[chunk].contains(peer)).count()).sum();
    let lost = before.values().filter(|owners| owners.contains(&members[0].id)).count();
    println!("{} leaves: {lost} copies are lost with it, {moved} are made", members[0].name);
}

fn place(members: &[Member]) -> BTreeMap<u32, Vec<PeerId>> {
    let key = |n: u32| PlacementKey::of_chunk(ChunkId::of(&n.to_le_bytes()));
    (0..CHUNKS).map(|n| (n, owners(key(n), members, REPLICAS))).collect()
}

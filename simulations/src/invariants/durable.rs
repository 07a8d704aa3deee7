use std::collections::BTreeSet;
use std::time::Duration;

use shoal_types::{ChunkId, Layout, Manifest, Member, ObjectName, PeerId};

use super::{Invariant, Moment, short};
use crate::host::HostId;
use crate::ledger::Damage;
use crate::workload;
use crate::world::{State, World};

/// What a repair may take, beside the delay and the interval that peers are set to.
const REPAIR: Duration = Duration::from_secs(30);

/// What a client has patience for: a copy that comes to harm while the rest of
/// an object is on its way was synced all the same.
const PUT: Duration = Duration::from_secs(30);

/// No acknowledged data is lost while fewer than its replicas came to harm
/// within the time of a repair.
///
/// A chunk that the newest value of its name does not list is nobody's any
/// more: it may be collected.
pub(crate) struct Durable;

impl Invariant for Durable {
    fn name(&self) -> &'static str {
        "durable"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        let lost: Vec<(ChunkId, String)> = {
            let state = world.state();
            let copies = &state.ledger.copies;
            let wanted = copies.lost().filter(|chunk| state.ledger.is_wanted(*chunk));
            let unexcused = wanted.filter(|chunk| !is_excused(world, &state, *chunk));
            let harms = |chunk| {
                let harms = copies.harms(chunk).iter();
                let harms =
                    harms.map(|harm| format!("{} {:?} at {:.3} s", harm.host, harm.damage, harm.at.as_secs_f64()));
                let harms: Vec<String> = harms.collect();
                if harms.is_empty() { "no copy came to harm".into() } else { harms.join(", ").to_lowercase() }
            };
            unexcused.map(|chunk| (chunk, harms(chunk))).collect()
        };
        for (chunk, harms) in lost {
            let what = format!("chunk {} was acknowledged and has no copy left ({harms})", chunk.short());
            world.violate(self.name(), &[], what);
        }
        world.state().ledger.copies.promised_count() > 0
    }

    fn is_whole(&mut self, world: &World) -> bool {
        short_of(world, 1).is_empty()
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        let short_of = short_of(world, usize::MAX);
        let state = world.state();
        let Short { chunk, copies, wanted } = short_of.first()?;
        let holders = short(state.ledger.copies.holders(*chunk), |host| {
            let up = if state.hosts[host.index()].is_up() { "" } else { " (down)" };
            format!("{host}{up}")
        });
        let has_rotted = |chunk| state.ledger.copies.harms(chunk).iter().any(|harm| harm.damage == Damage::Rotten);
        let rotten = short_of.iter().filter(|short| has_rotted(short.chunk)).count();
        let rotten = match rotten {
            0 => String::new(),
            _ => {
                let scrub = world.config().timing.scrub.as_secs();
                format!(
                    "; of {rotten} of them a copy has rotted, which is found when it is read, or by the scrub within {scrub} s"
                )
            }
        };
        Some(format!(
            "{} chunks have too few copies: {} has {copies} of {wanted} on members that are up; it is on {}{rotten}",
            short_of.len(),
            chunk.short(),
            if holders.is_empty() { "nobody".into() } else { holders },
        ))
    }
}

/// Whether the mesh could not have kept a chunk, whatever it did.
pub(super) fn is_excused(world: &World, state: &State, chunk: ChunkId) -> bool {
    let timing = &world.config().timing;
    // What has rotted is found when it is read next.
    let repair = timing.repair_delay + timing.repair_interval + timing.scrub + REPAIR;
    let wanted = state.ledger.copies_wanted(chunk, world.config().replicas);
    state.ledger.copies.is_excused(chunk, wanted as usize, repair)
}

/// Members that keep chunks: there are no more copies of any.
fn keepers(world: &World) -> usize {
    newest(world).map_or(1, |layout| layout.members.iter().filter(|member| member.weight > 0).count())
}

fn newest(world: &World) -> Option<std::sync::Arc<Layout>> {
    world.peers().iter().filter_map(|(_, peer)| peer.layout()).max_by_key(|layout| layout.version)
}

/// A chunk with too few copies on members that are up.
struct Short {
    chunk: ChunkId,
    copies: usize,
    wanted: usize,
}

/// Chunks with too few copies; no more than `most`.
fn short_of(world: &World, most: usize) -> Vec<Short> {
    let (keepers, layout) = (keepers(world), newest(world));
    let state = world.state();
    let is_member = |peer: PeerId| {
        layout.as_ref().is_none_or(|layout| layout.members.binary_search_by_key(&peer, |member| member.id).is_ok())
    };
    let counts: Vec<bool> = state.hosts.iter().map(|host| host.is_up() && is_member(host.id)).collect();
    let copies = &state.ledger.copies;
    let good = |chunk| copies.holders(chunk).filter(|host| counts[host.index()]).count();
    let wanted = |chunk| (state.ledger.copies_wanted(chunk, world.config().replicas) as usize).min(keepers);
    copies
        .promised()
        .filter(|(chunk, _)| state.ledger.is_wanted(*chunk))
        .map(|(chunk, _)| Short { chunk, copies: good(chunk), wanted: wanted(chunk) })
        .filter(|short| short.copies < short.wanted)
        .filter(|short| !(short.copies == 0 && is_excused(world, &state, short.chunk)))
        .take(most)
        .collect()
}

/// At the moment of acknowledgement at least two copies of each chunk are
/// synced, or were until they came to harm a moment ago (one where R is one),
/// on disks that may be off by now.
pub(super) fn acknowledged(world: &World, name: &ObjectName, manifest: &Manifest) {
    // Where others have left there may be one member only; and where they are
    // just coming back, there may have been only one to take the chunks. So
    // there may where others took the place of those who were to be members
    // just before: what was agreed among these is heard of a moment later.
    let needed = newest(world).map_or(1, |layout| {
        let weighty = |group: &[Member]| group.iter().filter(|member| member.weight > 0).count();
        let state = world.state();
        let before = state.ledger.layouts.value(layout.mesh, layout.version.saturating_sub(1));
        let replaced = before.filter(|before| layout.is_joint() && before.is_joint());
        let groups = layout.groups().chain(replaced.into_iter().flat_map(|layout| layout.groups()));
        let fewest = groups.map(weighty).min().unwrap_or(1);
        fewest.min(workload::copies_of(name, world.config().replicas) as usize).min(2)
    });
    for chunk in &manifest.chunks {
        let holders = {
            let state = world.state();
            if is_excused(world, &state, chunk.id) {
                continue;
            }
            let (copies, now) = (&state.ledger.copies, state.heap.now());
            let harmed = copies.harms(chunk.id).iter().filter(|harm| harm.at + PUT >= now).map(|harm| harm.host);
            copies.holders(chunk.id).chain(harmed).collect::<BTreeSet<HostId>>()
        };
        if holders.len() < needed {
            let (copies, holders) = (holders.len(), Vec::from_iter(holders));
            let what = format!(
                "'{name}' was acknowledged with {copies} synced copies of chunk {}, {needed} were promised",
                chunk.id.short()
            );
            world.violate("durable", &holders, what);
        }
    }
}

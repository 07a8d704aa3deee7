//! What `shoal status` shows: the mesh as this peer sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shoal_types::{DiskState, Health, MemberStatus, PeerId, PeerInfo, Result, Status};

use crate::context::Context;
use crate::members::MemberEntry;
use crate::moving;

/// Whoever is alive for so long, and has no link to this peer, will hardly have one.
const LINKED_WITHIN: Duration = Duration::from_secs(10);

pub(crate) async fn status(context: &Arc<Context>) -> Result<Status> {
    let layout = context.layout();
    let shares = match layout.clone() {
        Some(layout) => context.blocking(move || Ok(layout.shares())).await?,
        None => BTreeMap::new(),
    };
    let (clock, members_of_layout) = (&context.ports.clock, layout.iter().flat_map(|layout| &layout.members));
    let now = clock.now();
    let since_ms = |since| u64::try_from(now.saturating_sub(since).as_millis()).unwrap_or(u64::MAX);
    let member = |info: PeerInfo, health, since_ms| MemberStatus {
        id: info.id,
        in_layout: layout.as_ref().is_some_and(|layout| layout.member(info.id).is_some()),
        share_ppm: shares.get(&info.id).copied().unwrap_or(0),
        is_self: info.id == context.me,
        health: if info.leaves && health == Health::Alive { Health::Leaving } else { health },
        info,
        since_ms,
    };
    let ours = PeerInfo { addresses: context.ports.transport.addresses(), ..(*context.info()).clone() };
    let mut members = vec![member(ours, Health::Alive, since_ms(context.started))];
    let (others, unlinked, refusals) = context.members.look(|table| {
        let unlinked = table.entries.iter().filter(|(_, entry)| {
            !entry.linked && entry.health == Health::Alive && now.saturating_sub(entry.since) > LINKED_WITHIN
        });
        let unlinked: BTreeSet<PeerId> = unlinked.map(|(peer, _)| *peer).collect();
        let others = table.entries.iter().map(|(peer, entry)| {
            let info = match &entry.info {
                Some(info) => (**info).clone(),
                None => unknown(*peer, entry),
            };
            member(info, entry.health, since_ms(entry.since))
        });
        (others.collect::<Vec<_>>(), unlinked, table.refusals.clone())
    });
    members.extend(others);
    // Members of the layout that nobody has seen since this peer started.
    let seen: BTreeSet<PeerId> = members.iter().map(|member| member.id).collect();
    for known in members_of_layout.filter(|known| !seen.contains(&known.id)) {
        let (name, zone, weight) = (known.name.clone(), known.zone.clone(), known.weight);
        let info = PeerInfo { name, zone, weight, ..nothing_of(known.id) };
        members.push(member(info, Health::Dead, since_ms(context.started)));
    }
    members.sort_by(|a, b| a.info.name.cmp(&b.info.name).then(a.id.cmp(&b.id)));
    let store = context.ports.store.clone();
    let (usage, disk) = context.blocking(move || Ok((store.usage(), store.disk()))).await?;
    let usage = usage.unwrap_or_default();
    Ok(Status {
        mesh: layout.as_ref().map(|layout| layout.mesh),
        notices: notices(context, &members, &unlinked, refusals, &disk),
        members,
        layout: layout.map(|layout| layout.layout().as_ref().clone()),
        chunks: usage.chunks,
        chunk_bytes: usage.chunk_bytes,
        disk_free_bytes: usage.free_bytes,
        moving: moving::here(context),
        secret_generation: context.secrets.look(|secrets| secrets.generation),
        secret_changing: context.secrets.look(|secrets| secrets.previous.is_some()),
    })
}

/// A peer of which SWIM has told, and to which there never was a link.
fn unknown(id: PeerId, entry: &MemberEntry) -> PeerInfo {
    PeerInfo { addresses: entry.addresses.to_vec(), incarnation: entry.incarnation, ..nothing_of(id) }
}

fn nothing_of(id: PeerId) -> PeerInfo {
    PeerInfo {
        id,
        name: id.short(),
        zone: String::new(),
        weight: 0,
        addresses: Vec::new(),
        version: String::new(),
        incarnation: 0,
        machine: 0,
        pid: 0,
        slots: 0,
        gateway: None,
        leaves: false,
        revision: 0,
        mesh: None,
        replicas: None,
    }
}

/// What is wrong with this peer's disk, and what to do.
fn of_disk(disk: &DiskState) -> Option<String> {
    match disk {
        DiskState::Fine => None,
        DiskState::Full { free_bytes, needed_bytes } => Some(format!(
            "the disk of this peer is full ({free_bytes} bytes free, {needed_bytes} needed): it takes no new chunks; \
             make room on it, or add a peer"
        )),
        DiskState::Failed { why } => Some(format!(
            "the disk of this peer failed ({why}): nothing is written to it any more; replace it, then restart this peer"
        )),
        DiskState::Gone { why } => Some(format!("the data directory of this peer is gone ({why}): the peer stops")),
    }
}

/// What is wrong or under way, most urgent first.
fn notices(
    context: &Context,
    members: &[MemberStatus],
    unlinked: &BTreeSet<PeerId>,
    refusals: Vec<(String, String)>,
    disk: &DiskState,
) -> Vec<String> {
    let mut notices: Vec<String> = of_disk(disk).into_iter().collect();
    let delay = context.config.timing.repair_delay.as_secs();
    for member in members.iter().filter(|member| member.in_layout) {
        let name = &member.info.name;
        match member.health {
            Health::Dead => notices.push(format!(
                "{name} is dead; others make copies in its place, and the layout goes on without it once it has been \
                 dead for {delay} s"
            )),
            Health::Leaving if member.info.leaves => {
                notices.push(format!("{name} is leaving: it goes once others keep what it holds"));
            }
            Health::Leaving => notices.push(format!(
                "{name} has stopped; others make copies in its place, and the layout waits for it for {delay} s"
            )),
            Health::Suspected => notices.push(format!("{name} does not answer")),
            Health::Alive if unlinked.contains(&member.id) => notices.push(format!(
                "there is no link to {name}, which is alive for others: no change of members comes to its end \
                 without; see whether one of the two can be reached at its addresses (shoal doctor)"
            )),
            Health::Alive => {}
        }
    }
    match context.layout() {
        None if context.config.join.is_empty() => notices.push("this peer is looking for its mesh".into()),
        None => notices.push(format!("this peer is looking for its mesh at {}", context.config.join.join(", "))),
        Some(layout) if layout.is_joint() => {
            notices.push(format!("layout {} is being taken up: data is moving to its new owners", layout.version));
        }
        Some(_) => {}
    }
    if context.secrets.look(|secrets| secrets.previous.is_some()) {
        notices
            .push("the secret is being changed: the one before admits too until all members know the new one".into());
    }
    let ours = context.layout().map(|layout| layout.replicas);
    let met = context.stranger().map(|met| (met.theirs.mesh.short(), met.theirs.replicas, met.stay_apart));
    match met {
        Some((mesh, replicas, true)) if ours.is_some_and(|ours| ours != replicas) => notices.push(format!(
            "another mesh ({mesh}) with the same secret is reachable, which keeps {replicas} copies of each chunk, \
             and this one {}: both hold data, or were started with --replicas, and they stay apart; copy the data of one \
             over, and start its peers with empty directories and without --replicas",
            ours.unwrap_or_default(),
        )),
        Some((mesh, _, true)) => notices.push(format!(
            "another mesh ({mesh}) with the same secret is reachable, and both hold data: they stay apart; \
             copy the data of one over, and start its peers with empty directories"
        )),
        Some((mesh, _, false)) => notices.push(format!(
            "another mesh ({mesh}) with the same secret has been met: one that holds no data joins the other"
        )),
        None => {}
    }
    for (address, why) in refusals {
        notices.push(format!("no link to {address}: {why}"));
    }
    notices
}

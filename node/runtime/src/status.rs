//! What `shoal status` shows: the mesh as this peer sees it.

mod notices;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shoal_types::{Health, MemberStatus, PeerId, PeerInfo, Result, Status};

use crate::context::Context;
use crate::members::MemberEntry;
use crate::moving;
use notices::notices;

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

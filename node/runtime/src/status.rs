//! What `shoal status` shows: the mesh as this peer sees it.

use std::collections::BTreeSet;
use std::sync::Arc;

use shoal_types::{Health, MemberStatus, PeerId, PeerInfo, Result, Status};

use crate::context::Context;

pub(crate) async fn status(context: &Arc<Context>) -> Result<Status> {
    let layout = context.layout();
    let members_of_layout: BTreeSet<PeerId> =
        layout.iter().flat_map(|layout| &layout.members).map(|member| member.id).collect();
    let in_layout = |peer: PeerId| members_of_layout.contains(&peer);
    let ours = PeerInfo { addresses: context.ports.transport.addresses(), ..context.config.info.clone() };
    let mut members = vec![MemberStatus {
        id: context.me,
        in_layout: in_layout(context.me),
        info: ours,
        health: Health::Alive,
        is_self: true,
    }];
    let (others, refusals) = context.members.look(|table| {
        let others = table.entries.iter().map(|(peer, entry)| MemberStatus {
            id: *peer,
            in_layout: in_layout(*peer),
            info: match &entry.info {
                Some(info) => (**info).clone(),
                None => unknown(*peer, &entry.addresses, entry.incarnation),
            },
            health: entry.health,
            is_self: false,
        });
        (others.collect::<Vec<_>>(), table.refusals.clone())
    });
    members.extend(others);
    let known: BTreeSet<PeerId> = members.iter().map(|member| member.id).collect();
    // Members of the layout that nobody has seen since this peer started.
    for member in layout.iter().flat_map(|layout| &layout.members) {
        if !known.contains(&member.id) {
            let info = PeerInfo {
                name: member.name.clone(),
                zone: member.zone.clone(),
                weight: member.weight,
                ..unknown(member.id, &[], 0)
            };
            members.push(MemberStatus { id: member.id, info, health: Health::Dead, in_layout: true, is_self: false });
        }
    }
    members.sort_by(|a, b| a.info.name.cmp(&b.info.name).then(a.id.cmp(&b.id)));
    let store = context.ports.store.clone();
    let usage = context.blocking(move || store.usage()).await?;
    Ok(Status {
        mesh: layout.as_ref().map(|layout| layout.mesh),
        notices: notices(context, &members, refusals),
        members,
        layout: layout.map(|layout| (*layout).clone()),
        chunks: usage.chunks,
        chunk_bytes: usage.chunk_bytes,
        disk_free_bytes: usage.free_bytes,
    })
}

fn unknown(id: PeerId, addresses: &[String], incarnation: u64) -> PeerInfo {
    PeerInfo {
        id,
        name: id.short(),
        zone: String::new(),
        weight: 0,
        addresses: addresses.to_vec(),
        version: String::new(),
        incarnation,
        machine: 0,
        pid: 0,
        slots: 0,
        gateway: None,
    }
}

/// What is wrong or under way, most urgent first.
fn notices(context: &Context, members: &[MemberStatus], refusals: Vec<(String, String)>) -> Vec<String> {
    let mut notices = Vec::new();
    let delay = context.config.timing.repair_delay.as_secs();
    for member in members.iter().filter(|member| member.in_layout) {
        let name = &member.info.name;
        match member.health {
            Health::Dead => notices.push(format!(
                "{name} is dead; what it held is copied from the other holders once it has been dead for {delay} s"
            )),
            Health::Leaving => notices.push(format!("{name} has stopped; its data waits for it for {delay} s")),
            Health::Suspected => notices.push(format!("{name} does not answer")),
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
    if let Some(mesh) = context.stranger() {
        notices.push(format!(
            "another mesh ({}) with the same secret is reachable, and both hold data: they stay apart; \
             copy the data of one over, and start its peers with empty directories",
            mesh.short()
        ));
    }
    for (address, why) in refusals {
        notices.push(format!("no link to {address}: {why}"));
    }
    notices
}

//! How all members are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_types::{Health, MeshMoving, PeerCondition, PeerId, Request, Response, Result, wire};

use super::census::Census;
use super::{Checkup, MemberCheck};
use crate::context::Context;

/// Members asked at once how they are.
const ASKED_AT_ONCE: usize = 64;

/// How long all of them together have to answer.
const ASKED_FOR: Duration = Duration::from_secs(3);

/// Asks all members how they are, and puts it all together.
pub(super) async fn report(context: &Arc<Context>, is_quick: bool, census: &Census) -> Result<Checkup> {
    let layout = context.require_layout()?;
    let everyone = layout.everyone();
    let live: BTreeSet<PeerId> = context.members.look(|table| {
        let others = table.live().map(|(peer, _)| peer);
        others.chain([context.me]).filter(|peer| layout.involves(*peer)).collect()
    });
    let frame = wire::encode(&Request::Condition)?;
    let asked = stream::iter(live.clone()).map(|peer| ask(context.clone(), peer, frame.clone()));
    let in_time = context.ports.clock.sleep(ASKED_FOR);
    let answers: Vec<_> = asked.buffer_unordered(ASKED_AT_ONCE).take_until(in_time).collect().await;
    let mut mesh = MeshMoving { silent: live.len() as u32, ..MeshMoving::default() };
    let mut conditions = BTreeMap::new();
    for (peer, answer) in answers {
        match answer {
            Ok(condition) => {
                mesh = MeshMoving { silent: mesh.silent.saturating_sub(1), ..mesh.with(condition.moving) };
                conditions.insert(peer, condition);
            }
            Err(error) => tracing::info!(%error, peer = %peer.short(), "it does not say how it is"),
        }
    }
    let named = layout.groups().flatten().map(|member| (member.id, member.name.clone()));
    let named: BTreeMap<PeerId, String> = named.collect();
    let mut members: Vec<MemberCheck> = everyone
        .into_iter()
        .map(|id| {
            let health = match id == context.me {
                true => Health::Alive,
                false => {
                    context.members.look(|table| table.entries.get(&id).map_or(Health::Dead, |entry| entry.health))
                }
            };
            let (copies_missing, bytes_missing) = census.missing_at.get(&id).copied().unwrap_or_default();
            let name = named.get(&id).cloned().unwrap_or_else(|| id.short());
            // What it holds is not known, as of one that is away.
            let condition = conditions.remove(&id).filter(|_| !census.silent.contains(&id));
            MemberCheck { id, name, health, condition, copies_missing, bytes_missing }
        })
        .collect();
    members.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    let holders = layout.members.iter().filter(|member| member.weight > 0).count() as u64;
    Ok(Checkup {
        is_quick,
        wanted: u64::from(layout.replicas).min(holders),
        names: census.names,
        object_bytes: census.object_bytes,
        versions: census.versions,
        chunks: census.chunks,
        copies: census.copies,
        copies_missing: census.missing_at.values().map(|(copies, _)| copies).sum(),
        bytes_missing: census.missing_at.values().map(|(_, bytes)| bytes).sum(),
        chunks_lost: census.lost.len() as u64,
        objects_lost: census.objects_lost,
        lost: census.lost_names.clone(),
        is_exact: census.is_exact(),
        is_joint: layout.is_joint(),
        members,
        moving: (mesh.peers > 0).then_some(mesh),
    })
}

/// Asks one, this one perhaps.
async fn ask(context: Arc<Context>, peer: PeerId, frame: Bytes) -> (PeerId, Result<PeerCondition>) {
    if peer == context.me {
        return (peer, super::condition(&context).await);
    }
    let answer = match context.call_frame(peer, frame).await {
        Ok(Response::Condition(condition)) => Ok(condition),
        Ok(_) => Err(context.unexpected("how it is")),
        Err(error) => Err(error),
    };
    (peer, answer)
}

//! The part that this peer takes in keeping the data. It may change while the
//! peer runs, is remembered, and is told to the others until the layout has it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shoal_ports::Store;
use shoal_types::{Error, Health, Layout, Member, PeerInfo, Result, RoleChange, wire};

use crate::context::Context;
use crate::layouts::LayoutMsg;
use crate::members::MembersMsg;

/// The note in which it is kept.
const NOTE: &str = "role";

#[derive(PartialEq, Serialize, Deserialize)]
struct Role {
    name: String,
    zone: String,
    weight: u32,
    leaves: bool,
    revision: u64,
}

impl Role {
    fn of(info: &PeerInfo) -> Self {
        let PeerInfo { name, zone, weight, leaves, revision, .. } = info.clone();
        Self { name, zone, weight, leaves, revision }
    }
}

/// What a peer says of itself when it starts: what is `configured`, but for
/// the zone and weight that it had at last, and but for what was `given` at
/// this start, which is remembered from then on. Waits for the disk.
///
/// # Errors
/// Those of the store, and [`Error::Invalid`] for what nobody can be.
pub fn remembered_role(store: &dyn Store, configured: PeerInfo, given: &RoleChange) -> Result<PeerInfo> {
    given.check()?;
    let kept = store.note_get(NOTE)?.map(|note| wire::decode::<Role>(&note)).transpose()?;
    let Some(kept) = kept else {
        let info = PeerInfo { revision: 1, ..given.apply(&configured) };
        keep(store, &info)?;
        return Ok(info);
    };
    let (name, before) = (configured.name.clone(), kept.name.clone());
    let Role { name: _, zone, weight, leaves, revision } = kept;
    let mut info = given.apply(&PeerInfo { zone, weight, leaves, revision, ..configured });
    if name != before && info.revision == revision {
        info.revision += 1;
    }
    if info.revision > revision {
        keep(store, &info)?;
    }
    Ok(info)
}

fn keep(store: &dyn Store, info: &PeerInfo) -> Result<()> {
    store.note_put(NOTE, &wire::encode(&Role::of(info))?)
}

/// Changes the part of this peer: remembered first, then told to all.
pub(crate) async fn change(context: &Arc<Context>, change: &RoleChange) -> Result<()> {
    change.check()?;
    let _turn = context.role_turn.lock().await;
    let before = context.info();
    let after = change.apply(&before);
    if after == *before {
        return Ok(());
    }
    if after.leaves && !before.leaves {
        let layout = context.require_layout()?;
        if !has_heirs(context, &layout) {
            return Err(Error::invalid(
                "nobody is there to take over the data of this peer",
                "start another peer first; to stop this one and keep its data here, end its process",
            ));
        }
    }
    let (store, kept) = (context.ports.store.clone(), after.clone());
    context.blocking(move || keep(&*store, &kept)).await?;
    tracing::info!(zone = %after.zone, weight = after.weight, leaves = after.leaves, "takes another part");
    context.change_info(|info| *info = PeerInfo { mesh: info.mesh, replicas: info.replicas, ..after });
    // A peer that leaves gives itself no tasks either.
    context.jobs.reconsider();
    let actors = context.actors()?;
    // An actor that takes no messages has stopped, and the peer with it.
    let _ = actors.members.cast(MembersMsg::Present);
    let _ = actors.layouts.cast(LayoutMsg::Reconsider);
    Ok(())
}

/// It has gone: started again, it comes as a newcomer.
pub(crate) async fn left(context: &Arc<Context>) -> Result<()> {
    let _turn = context.role_turn.lock().await;
    let info = RoleChange { leaves: Some(false), ..RoleChange::default() }.apply(&context.info());
    let store = context.ports.store.clone();
    context.blocking(move || keep(&*store, &info)).await
}

/// Whether somebody else holds data, and stays.
fn has_heirs(context: &Context, layout: &Layout) -> bool {
    context.members.look(|table| {
        table.beside(&layout.members).any(|(member, entry)| {
            let stays = |info: &PeerInfo| info.weight > 0 && !info.leaves;
            member.id != context.me
                && entry.is_some_and(|entry| {
                    entry.is_live() && entry.health == Health::Alive && entry.info.as_deref().is_some_and(stays)
                })
        })
    })
}

/// Whether a layout's member is not what its peer says of itself by now.
pub(crate) fn is_outdated(member: &Member, info: &PeerInfo) -> bool {
    info.revision > member.revision
        && (member.weight != info.weight || member.name != info.name || member.zone != info.zone)
}

/// A peer as a member of a layout to come.
pub(crate) fn member_of(info: &PeerInfo) -> Member {
    Member {
        id: info.id,
        name: info.name.clone(),
        zone: info.zone.clone(),
        weight: info.weight,
        revision: info.revision,
        // The layout knows.
        since: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::info;
    use crate::tests::ports::Store as Notes;

    fn zone(zone: &str) -> RoleChange {
        RoleChange { zone: Some(zone.into()), ..RoleChange::default() }
    }

    #[test]
    fn what_was_changed_outlives_a_start_and_what_is_given_goes_before() {
        let store = Notes::default();
        let configured = info(1);
        let start = |given: &RoleChange| remembered_role(&store, configured.clone(), given).unwrap();
        let first = start(&RoleChange::default());
        assert_eq!((first.zone.as_str(), first.revision), (configured.zone.as_str(), 1));
        keep(&store, &zone("rack-2").apply(&first)).unwrap();
        let second = start(&RoleChange::default());
        assert_eq!((second.zone.as_str(), second.revision), ("rack-2", 2));
        let third = start(&zone("rack-3"));
        assert_eq!((third.zone.as_str(), third.revision), ("rack-3", 3));
        // The same again is no change, and another name is one.
        assert_eq!(start(&zone("rack-3")).revision, 3);
        let renamed = PeerInfo { name: "other".into(), ..configured.clone() };
        assert_eq!(remembered_role(&store, renamed.clone(), &RoleChange::default()).unwrap().revision, 4);
        assert_eq!(remembered_role(&store, renamed, &RoleChange::default()).unwrap().revision, 4);
    }

    #[test]
    fn what_was_said_before_does_not_undo_what_the_layout_has() {
        let old = info(1);
        let new = zone("elsewhere").apply(&old);
        assert!(is_outdated(&member_of(&old), &new));
        assert!(!is_outdated(&member_of(&new), &old));
        assert!(!is_outdated(&member_of(&new), &new));
    }
}

//! How soon all copies are there again after a peer has died.

use std::time::Duration;

use futures::future::join_all;
use shoal_gateway::Client;
use shoal_gateway::view::StatusView;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::local_mesh::LocalMesh;

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// When it is given up. The mesh waits for a minute whether the peer comes
/// back; the rest is for the copies.
const REPAIR_TIME_MAX: Duration = Duration::from_secs(900);

/// Kills the last peer, and gives the time until the others hold `replicas`
/// copies of each of `chunks` chunks in a settled layout of their own; `None`
/// when that takes too long.
pub(super) async fn after_a_kill(
    mesh: &mut LocalMesh,
    replicas: u16,
    chunks: u64,
) -> Result<Option<Duration>, Failure> {
    let gateways = mesh.gateways();
    let Some((_, living)) = gateways.split_last() else { return Ok(None) };
    let clients = living.iter().map(|gateway| Client::new(gateway)).collect::<Result<Vec<_>, _>>()?;
    if !mesh.kill(&format!("peer-{}", gateways.len())) {
        return Err(Failure::mesh("the peer that was to be killed is gone already", ""));
    }
    let killed = Instant::now();
    while killed.elapsed() < REPAIR_TIME_MAX {
        let told = tokio::time::timeout(REPAIR_TIME_MAX, join_all(clients.iter().map(Client::status))).await;
        // One that does not answer now may do so later.
        let told: Option<Vec<StatusView>> = told.ok().and_then(|told| told.into_iter().collect::<Result<_, _>>().ok());
        if told.is_some_and(|told| is_whole(&told, u64::from(replicas) * chunks)) {
            return Ok(Some(killed.elapsed()));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    eprintln!("warning: not all copies were there again within {} s", REPAIR_TIME_MAX.as_secs());
    Ok(None)
}

/// Whether those who say this are the whole layout, nothing moves any more,
/// and they hold so many copies together.
fn is_whole(told: &[StatusView], copies: u64) -> bool {
    let settled = |status: &StatusView| {
        let layout = status.layout.as_ref();
        layout.is_some_and(|layout| !layout.joint && layout.members.len() == told.len()) && status.moving.is_none()
    };
    told.iter().all(settled) && told.iter().map(|status| status.chunks).sum::<u64>() >= copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_gateway::view::{LayoutMemberView, LayoutView};

    fn status(members: usize, joint: bool, chunks: u64) -> StatusView {
        let member = LayoutMemberView { id: "i".into(), name: "n".into(), zone: "z".into(), weight: 100 };
        StatusView {
            mesh: None,
            members: vec![],
            layout: Some(LayoutView { version: 4, joint, members: vec![member; members] }),
            notices: vec![],
            chunks,
            chunk_bytes: 0,
            disk_free_bytes: 0,
            moving: None,
            moving_here: None,
            secret_generation: 0,
            secret_changing: false,
        }
    }

    #[test]
    fn replication_is_full_once_the_dead_has_left_and_the_others_hold_every_copy() {
        let whole = status(2, false, 3);
        assert!(is_whole(&[whole.clone(), whole.clone()], 6));
        assert!(!is_whole(&[whole.clone(), whole.clone()], 7));
        assert!(!is_whole(&[whole.clone(), status(2, true, 3)], 6));
        assert!(!is_whole(&[whole.clone(), status(3, false, 3)], 6));
        assert!(!is_whole(&[whole, StatusView { layout: None, ..status(0, false, 3) }], 6));
    }
}

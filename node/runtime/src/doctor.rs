//! What the others say of this peer, and it of them, for `shoal doctor`.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use shoal_types::{Error, Examined, PeerId, PeerInfo, Request, Response, Result};

use crate::context::Context;

/// Members asked at once.
const ASKED_AT_ONCE: usize = 32;

/// What a member answered when it was asked to examine this peer.
#[derive(Debug, Clone)]
pub struct Examination {
    pub peer: PeerId,
    /// What people call it.
    pub name: String,
    /// The version of its binary.
    pub version: String,
    /// Its answer, how long that took, and by how many ms its wall clock is
    /// ahead of this peer's, to within that time.
    pub outcome: Result<(Examined, Duration, i64)>,
}

/// Has every live member examine this peer. Takes as long as a call between peers may.
pub(crate) async fn examine(context: &Arc<Context>) -> Vec<Examination> {
    let addresses: Vec<String> =
        context.ports.transport.addresses().into_iter().take(PeerInfo::ADDRESSES_MAX).collect();
    let members: Vec<(PeerId, Arc<PeerInfo>)> = context
        .members
        .look(|table| table.live().filter_map(|(peer, entry)| Some((peer, entry.info.clone()?))).collect());
    let asked = stream::iter(members).map(|(peer, info)| {
        let (context, addresses) = (context.clone(), addresses.clone());
        async move {
            let clock = context.ports.clock.clone();
            let began = clock.now();
            let outcome = match context.call(peer, Request::Examine { addresses }).await {
                Ok(Response::Examined(examined)) => {
                    let ahead = i128::from(examined.wall_ms) - i128::from(clock.wall_ms());
                    Ok((examined, clock.now().saturating_sub(began), i64::try_from(ahead).unwrap_or(i64::MAX)))
                }
                Ok(_) => Err(context.unexpected("an examination")),
                Err(error) => Err(error),
            };
            Examination { peer, name: info.name.clone(), version: info.version.clone(), outcome }
        }
    });
    asked.buffered(ASKED_AT_ONCE).collect().await
}

/// Examines a peer that says that it can be reached at these addresses.
pub(crate) async fn examined(context: &Arc<Context>, addresses: Vec<String>) -> Result<Examined> {
    if addresses.len() > PeerInfo::ADDRESSES_MAX {
        return Err(Error::BadFrame { what: format!("{} addresses of one peer", addresses.len()) });
    }
    let knocked = join_all(addresses.into_iter().map(|address| async move {
        let outcome = context.ports.transport.knock(address.clone()).await;
        outcome.err().map(|why| (address, why.to_string()))
    }));
    let unreachable = knocked.await.into_iter().flatten().collect();
    Ok(Examined { wall_ms: context.ports.clock.wall_ms(), unreachable })
}

//! What a client asks of one peer, and what it is told.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::future::{Either, select};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_runtime::Peer;
use shoal_types::{Error, Manifest, ObjectName, Result};

use crate::host::HostId;
use crate::world::World;

impl World {
    /// What a peer answers: `None` when it dies, or when the client's `patience` is over.
    pub(super) async fn ask_at<T: Send + 'static>(
        &self,
        host: HostId,
        patience: Duration,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (tell, told) = futures::channel::oneshot::channel();
        self.at_host(host, async move {
            let _ = tell.send(work.await);
        });
        match select(told, Box::pin(self.sleep(patience))).await {
            Either::Left((answer, _)) => answer.ok(),
            Either::Right(_) => None,
        }
    }
}

/// All of an object; `None` where there is none.
pub(super) async fn whole(peer: &Peer, name: ObjectName) -> Result<Option<(Manifest, Bytes)>> {
    let (manifest, body) = match peer.get(name, None).await {
        Ok(found) => found,
        Err(Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes: BytesMut = body.try_collect().await?;
    Ok(Some((manifest, bytes.freeze())))
}

/// The same with a pause before each piece.
pub(super) fn slowly(
    world: &World,
    bytes: &Bytes,
    length: usize,
    pause: Duration,
) -> BoxStream<'static, Result<Bytes>> {
    let world = world.clone();
    let after_pause = move |piece| {
        let paused = world.sleep(pause);
        async move {
            paused.await;
            piece
        }
    };
    pieces(bytes, length).then(after_pause).boxed()
}

/// Bytes as they are sent: so many at a time.
pub(super) fn pieces(bytes: &Bytes, length: usize) -> BoxStream<'static, Result<Bytes>> {
    let pieces: Vec<Result<Bytes>> = bytes.chunks(length).map(|piece| Ok(bytes.slice_ref(piece))).collect();
    stream::iter(pieces).boxed()
}

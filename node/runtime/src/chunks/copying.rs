use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Polled, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use shoal_types::{Copies, Error, HashedChunk, PeerId, Result};

use super::acks::CopyId;
use super::bring;
use crate::context::Context;

/// A copy on its way to somebody who is to keep it: who that is, and whether it
/// was there before. What comes of it is noted ([`Acks`](super::Acks)).
pub(super) struct Copying {
    pub(super) to: PeerId,
    context: Arc<Context>,
    id: CopyId,
    bytes: usize,
    made: BoxFuture<'static, Result<bool>>,
}

impl Copying {
    pub(super) fn begin(
        context: &Arc<Context>,
        to: PeerId,
        hashed: &HashedChunk,
        copies: Copies,
        now: Duration,
    ) -> Self {
        let bytes = hashed.bytes().len();
        let id = context.acks.begin(to, bytes as u64, now);
        let (bringing, hashed) = (context.clone(), hashed.clone());
        let made = async move { bring(&bringing, to, hashed, copies).await }.boxed();
        Self { to, context: context.clone(), id, bytes, made }
    }

    pub(super) fn is_late(&self, now: Duration) -> bool {
        self.context.acks.is_late(self.id, now)
    }

    /// Nobody waits for it any more. It goes on where its peer is silent, to
    /// tell when that acknowledges again, if nothing else does and there is
    /// room for its bytes among those that follow.
    pub(super) fn go_on(self) {
        let context = self.context.clone();
        let bytes = u32::try_from(self.bytes.min(context.config.bounds.lagging_bytes)).unwrap_or(u32::MAX);
        let Ok(room) = context.lagging_bytes.clone().try_acquire_many_owned(bytes) else { return };
        if context.acks.probe(self.id) {
            context.spawn("a copy to a silent peer", async move {
                let _room = room;
                let (to, made) = self.await;
                let is_made = made.is_ok();
                tracing::info!(peer = %to.short(), is_made, "a silent peer was tried");
            });
        }
    }
}

impl Future for Copying {
    type Output = (PeerId, Result<bool>);

    fn poll(mut self: Pin<&mut Self>, polled: &mut Polled<'_>) -> Poll<Self::Output> {
        let made = std::task::ready!(self.made.poll_unpin(polled));
        let now = self.context.ports.clock.now();
        match &made {
            Ok(false) => self.context.acks.acknowledged(self.id, now),
            Err(Error::Timeout { .. }) => self.context.acks.timed_out(self.id, now),
            // Reading what was there says nothing of writing.
            Ok(true) | Err(_) => self.context.acks.end(self.id, now),
        }
        Poll::Ready((self.to, made))
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        self.context.acks.end(self.id, self.context.ports.clock.now());
    }
}

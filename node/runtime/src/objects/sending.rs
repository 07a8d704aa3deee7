use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use shoal_types::{ChunkId, ChunkRef, Error, Result};

use crate::chunks;
use crate::context::Context;

/// Chunks of one put, several on their way at once, listed in order.
pub(super) struct Sending {
    context: Arc<Context>,
    on_their_way: VecDeque<(u32, oneshot::Receiver<Result<ChunkId>>)>,
    chunks: Vec<ChunkRef>,
}

impl Sending {
    pub(super) fn new(context: &Arc<Context>) -> Self {
        Self { context: context.clone(), on_their_way: VecDeque::new(), chunks: Vec::new() }
    }

    pub(super) async fn push(&mut self, cut: Bytes) -> Result<()> {
        let length = u32::try_from(cut.len()).map_err(|_| Error::bug("a chunk of more than 4 GiB"))?;
        while self.on_their_way.len() >= self.context.config.bounds.put_chunks {
            self.take_one().await?;
        }
        let (done, result) = oneshot::channel();
        let context = self.context.clone();
        self.context.spawn("chunk put", async move {
            // The put may have been given up meanwhile.
            let _ = done.send(chunks::put(&context, cut).await);
        });
        self.on_their_way.push_back((length, result));
        Ok(())
    }

    async fn take_one(&mut self) -> Result<()> {
        if let Some((bytes, result)) = self.on_their_way.pop_front() {
            let id = result.await.map_err(|_| self.context.not_ready("it is stopping"))??;
            self.chunks.push(ChunkRef { id, bytes });
        }
        Ok(())
    }

    pub(super) async fn finish(mut self) -> Result<Vec<ChunkRef>> {
        while !self.on_their_way.is_empty() {
            self.take_one().await?;
        }
        Ok(self.chunks)
    }
}

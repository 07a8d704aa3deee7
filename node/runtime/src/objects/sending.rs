use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::channel::oneshot;
use shoal_types::{ChunkRef, Error, Manifest, Result};

use crate::chunks::{self, Durability, Kept};
use crate::collect::{Claims, Lease};
use crate::context::Context;

/// Chunks of one put, several on their way at once, listed in order.
pub(super) struct Sending {
    context: Arc<Context>,
    durability: Durability,
    on_their_way: VecDeque<(u32, oneshot::Receiver<Result<Kept>>)>,
    chunks: Vec<ChunkRef>,
    there_bytes: u64,
    /// None as long as there are no chunks.
    claims: Option<Claims>,
}

impl Sending {
    pub(super) fn new(context: &Arc<Context>, durability: Durability) -> Self {
        Self {
            context: context.clone(),
            durability,
            on_their_way: VecDeque::new(),
            chunks: Vec::new(),
            there_bytes: 0,
            claims: None,
        }
    }

    /// Sends one more, behind those before it.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is one more than an object can have: it is
    /// told before that many more are sent for nothing.
    pub(super) async fn push(&mut self, cut: Bytes) -> Result<()> {
        Manifest::check_chunks(self.chunks.len() + self.on_their_way.len() + 1)?;
        let length = u32::try_from(cut.len()).map_err(|_| Error::bug("a chunk of more than 4 GiB"))?;
        while self.on_their_way.len() >= self.context.config.bounds.put_chunks {
            self.take_one().await?;
        }
        let (done, result) = oneshot::channel();
        let claims = self.claims.get_or_insert_with(|| Claims::new(&self.context, self.durability));
        let (context, durability, coming) = (self.context.clone(), self.durability, claims.begin());
        self.context.spawn("chunk put", async move {
            let kept = chunks::put(&context, cut, durability).await;
            if let Ok(kept) = &kept {
                coming.arrived(kept.id);
            }
            // The put may have been given up meanwhile.
            let _ = done.send(kept);
        });
        self.on_their_way.push_back((length, result));
        Ok(())
    }

    async fn take_one(&mut self) -> Result<()> {
        if let Some((bytes, result)) = self.on_their_way.pop_front() {
            let Kept { id, was_there } = result.await.map_err(|_| self.context.not_ready("it is stopping"))??;
            self.chunks.push(ChunkRef { id, bytes });
            if was_there {
                self.there_bytes += u64::from(bytes);
            }
        }
        Ok(())
    }

    /// All of them in order, the bytes of those that were on their owners
    /// before, and until when they can be listed.
    pub(super) async fn finish(mut self) -> Result<(Vec<ChunkRef>, u64, Lease)> {
        while !self.on_their_way.is_empty() {
            self.take_one().await?;
        }
        let lease = match &self.claims {
            Some(claims) => claims.lease().await?,
            None => Lease::new(&self.context),
        };
        Ok((self.chunks, self.there_bytes, lease))
    }
}

#[cfg(test)]
mod tests {
    use shoal_types::ChunkId;

    use super::*;

    #[tokio::test]
    async fn a_put_of_more_chunks_than_an_object_can_have_fails_at_the_first_one_beyond() {
        let (peer, ..) = crate::tests::peer().await;
        let mut sending = Sending::new(peer.context(), Durability::default());
        sending.chunks = vec![ChunkRef { id: ChunkId::of(b"x"), bytes: 1 }; Manifest::CHUNKS_MAX - 1];
        sending.push(Bytes::from("last")).await.unwrap();
        let beyond = sending.push(Bytes::from("beyond")).await;
        assert!(matches!(beyond, Err(Error::Invalid { .. })), "{beyond:?}");
    }
}

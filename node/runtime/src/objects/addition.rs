use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use md5::{Digest, Md5};
use shoal_types::{ChunkRef, Format, ObjectName, Result};

use super::sending::Sending;
use crate::collect::Lease;
use crate::context::Context;

/// Bytes that are to be appended, cut by themselves as they came in.
pub(super) struct Addition {
    /// By which they were cut.
    pub(super) format: Format,
    /// Up to the first cut. They stay in memory, a chunk at most: they are
    /// joined to whatever the object ends in when its turn comes.
    pub(super) head: Bytes,
    /// All that follows, on its owners already, whatever the object ends in.
    pub(super) rest: Vec<ChunkRef>,
    /// Until when that can be listed.
    pub(super) lease: Lease,
    pub(super) bytes: u64,
    pub(super) blake3: blake3::Hash,
    pub(super) md5: Vec<u8>,
}

impl Addition {
    /// Takes in the bytes to their end.
    pub(super) async fn take_in(
        context: &Arc<Context>,
        name: &ObjectName,
        format: Format,
        mut body: BoxStream<'static, Result<Bytes>>,
    ) -> Result<Self> {
        let mut cutter = context.ports.compute.cutter(name.as_str(), format);
        let (mut blake3, mut md5, mut bytes) = (blake3::Hasher::new(), Md5::new(), 0);
        let mut parts = Parts { head: None, rest: Sending::new(context) };
        while let Some(piece) = body.try_next().await? {
            bytes += piece.len() as u64;
            let cuts;
            // Hashing and cutting keep a core busy: not on the reactor.
            (cutter, blake3, md5, cuts) = context
                .blocking(move || {
                    blake3.update(&piece);
                    md5.update(&piece);
                    let cuts = cutter.push(piece)?;
                    Ok((cutter, blake3, md5, cuts))
                })
                .await?;
            parts.push(cuts).await?;
        }
        loop {
            let cuts;
            (cutter, cuts) = context
                .blocking(move || {
                    let cuts = cutter.finish_some()?;
                    Ok((cutter, cuts))
                })
                .await?;
            if cuts.is_empty() {
                break;
            }
            parts.push(cuts).await?;
        }
        let (rest, _, lease) = parts.rest.finish().await?;
        Ok(Self {
            format,
            head: parts.head.unwrap_or_default(),
            rest,
            lease,
            bytes,
            blake3: blake3.finalize(),
            md5: md5.finalize().to_vec(),
        })
    }
}

struct Parts {
    head: Option<Bytes>,
    rest: Sending,
}

impl Parts {
    async fn push(&mut self, cuts: Vec<Bytes>) -> Result<()> {
        for cut in cuts {
            match &self.head {
                None => self.head = Some(cut),
                Some(_) => self.rest.push(cut).await?,
            }
        }
        Ok(())
    }
}

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use shoal_types::{ChunkRef, Format, ObjectName, Result};

use super::intake::{Intake, TakenIn};
use super::recognise::Cutting;
use super::sending::Sending;
use crate::buckets;
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
}

impl Addition {
    /// Takes in the bytes to their end.
    pub(super) async fn take_in(
        context: &Arc<Context>,
        name: &ObjectName,
        format: Format,
        body: BoxStream<'static, Result<Bytes>>,
    ) -> Result<Self> {
        let mut intake = Intake::new(context, Cutting::new(context, name, Some(format), format), body);
        let mut parts = Parts { head: None, rest: Sending::new(context, buckets::durability(context, name).await?) };
        loop {
            let cuts = intake.next().await?;
            if cuts.is_empty() {
                break;
            }
            parts.push(cuts).await?;
        }
        let (rest, _, lease) = parts.rest.finish().await?;
        let TakenIn { bytes, blake3, .. } = intake.finish().await?;
        let head = parts.head.unwrap_or_default();
        let blake3 = match blake3 {
            Some(hash) => hash,
            None => {
                let only = head.clone();
                context.blocking(move || Ok(blake3::hash(&only))).await?
            }
        };
        Ok(Self { format, head, rest, lease, bytes, blake3 })
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

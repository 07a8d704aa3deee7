//! Operations on objects of 1 KiB.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::PutCondition;
use shoal_types::{Error, Etag, ObjectName};

use super::pace::{Attempt, Job};
use crate::failure::Failure;

const OBJECT_BYTES: usize = 1 << 10;

/// Puts new names, one after the other.
pub(super) struct Put {
    pub(super) client: Client,
    /// What its names begin with; no other job's do.
    pub(super) prefix: String,
    /// What it has put.
    pub(super) names: Vec<ObjectName>,
}

impl Job for Put {
    async fn attempt(&mut self) -> Result<Attempt, Failure> {
        let name = ObjectName::new(format!("{}/{}", self.prefix, self.names.len()))?;
        put(&self.client, &name, &PutCondition::Always, self.names.len() as u64).await?;
        self.names.push(name);
        Ok(Attempt::Done)
    }
}

/// Gets objects that are there, one after the other, over and over.
pub(super) struct Get {
    pub(super) client: Client,
    /// At least one.
    pub(super) names: Arc<[ObjectName]>,
    /// Where it is in them.
    pub(super) at: usize,
}

impl Job for Get {
    async fn attempt(&mut self) -> Result<Attempt, Failure> {
        let name = &self.names[self.at % self.names.len()];
        let (mut download, mut bytes) = (self.client.get(name).await?, 0);
        while let Some(piece) = download.next().await? {
            bytes += piece.len();
        }
        if bytes != OBJECT_BYTES {
            return Err(Failure::mesh(format!("'{name}' came back as {bytes} bytes of {OBJECT_BYTES}"), ""));
        }
        self.at += 1;
        Ok(Attempt::Done)
    }
}

/// Compare-and-set: puts over the version that was seen last.
pub(super) struct Swap {
    pub(super) client: Client,
    pub(super) name: ObjectName,
    /// Told from every other job's, so that no two versions are alike.
    pub(super) job: u64,
    /// The version seen last; `None` when it must be looked for.
    pub(super) seen: Option<Etag>,
    pub(super) swaps: u64,
}

impl Job for Swap {
    async fn attempt(&mut self) -> Result<Attempt, Failure> {
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => match refused(self.client.stat(&self.name).await)? {
                Some(manifest) => Etag(manifest.object.etag),
                None => return Ok(Attempt::Refused),
            },
        };
        self.swaps += 1;
        let content = self.job << 40 | self.swaps;
        let written = put(&self.client, &self.name, &PutCondition::IfMatch(seen), content).await;
        self.seen = refused(written)?;
        Ok(if self.seen.is_some() { Attempt::Done } else { Attempt::Refused })
    }
}

/// `None` when others were faster, or so many that the peer gave up.
fn refused<T>(outcome: Result<T, ClientError>) -> Result<Option<T>, Failure> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(ClientError::Shoal(Error::Conflict { .. } | Error::Busy { .. } | Error::Timeout { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Puts 1 KiB that begins with `content`.
pub(super) async fn put(
    client: &Client,
    name: &ObjectName,
    condition: &PutCondition,
    content: u64,
) -> Result<Etag, ClientError> {
    let mut bytes = vec![0; OBJECT_BYTES];
    bytes[..size_of::<u64>()].copy_from_slice(&content.to_le_bytes());
    let body = stream::iter([Ok(Bytes::from(bytes))]);
    Ok(Etag(client.put(name, None, condition, body).await?.object.etag))
}

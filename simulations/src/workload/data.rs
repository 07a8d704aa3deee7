//! The data that is there before anything goes wrong, for jobs to read.

use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::stream;
use shoal_runtime::PutCondition;
use shoal_types::{Format, ObjectName};

use super::content::content;
use crate::scenario::Workload;
use crate::world::World;

/// Contents of data begin here, those of the clients' objects below.
const FIRST: u64 = 1 << 40;

/// The objects of the data: their names and bytes.
pub(crate) fn objects(workload: &Workload) -> Vec<(String, Bytes)> {
    let scale = workload.bytes_scale();
    let whole = workload.data.0 / scale;
    let each = (workload.object.0 / scale).max(8);
    (0..whole.div_ceil(each))
        .map(|n| {
            let length = each.min(whole - n * each);
            (format!("data/part-{n:05}"), content(FIRST + n, length as usize))
        })
        .collect()
}

impl World {
    /// Puts the data; ready when all of it is acknowledged.
    pub(crate) async fn put_data(&self, objects: Vec<(String, Bytes)>) {
        let mut random = self.random(&[601]);
        let tasks = objects.into_iter().map(|(name, bytes)| {
            let (world, mut random) = (self.clone(), crate::Random::from_seed(random.next_u64()));
            async move {
                loop {
                    if let Some((_, peer)) = world.any_peer(&mut random)
                        && let Ok(name) = ObjectName::new(name.clone())
                    {
                        let body = Box::pin(stream::once(std::future::ready(Ok(bytes.clone()))));
                        if let Ok(stored) = peer.put(name.clone(), Format::Bytes, PutCondition::Always, body).await {
                            world.promised(&name, &stored.manifest);
                            return;
                        }
                    }
                    world.sleep(Duration::from_millis(500)).await;
                }
            }
            .boxed()
        });
        futures::future::join_all(tasks).await;
    }
}

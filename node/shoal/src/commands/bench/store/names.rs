//! A listing of many names.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt, TryStreamExt};
use shoal_gateway::Client;
use shoal_runtime::PutCondition;
use shoal_types::ObjectName;

use super::small;
use crate::failure::Failure;
use crate::listing;

const PREFIX: &str = "names/";

/// Puts on their way at once while the names are made, which is not measured:
/// enough that many share a sync.
const MAKERS: usize = 64;

/// Makes `count` names with 1 KiB each, and gives the time that a listing of
/// them through one peer takes, page by page.
pub(super) async fn list(clients: &[Client], count: u32) -> Result<Duration, Failure> {
    let Some(first) = clients.first() else { return Err(Failure::mesh("there is no peer to ask", "")) };
    stream::iter(clients.iter().cycle().zip(0..count))
        .map(async |(client, number)| {
            let name = ObjectName::new(format!("{PREFIX}{number:07}"))?;
            small::put(client, &name, &PutCondition::Always, number.into()).await?;
            Ok::<_, Failure>(())
        })
        .buffer_unordered(MAKERS)
        .try_collect::<()>()
        .await?;
    let started = Instant::now();
    let listed = listing::objects(first, PREFIX).try_fold(0, async |count, _| Ok(count + 1)).await?;
    let elapsed = started.elapsed();
    if listed != count {
        return Err(Failure::mesh(format!("{listed} names of {count} were listed"), ""));
    }
    Ok(elapsed)
}

//! How fast the peers read and check all that they hold.

use std::time::Instant;

use shoal_gateway::Client;

use crate::failure::Failure;

/// MB/s of all peers together, each as fast as it can; `None` where there was
/// nothing to read.
pub(super) async fn mb_per_second(clients: &[Client]) -> Result<Option<f64>, Failure> {
    let Some(first) = clients.first() else { return Ok(None) };
    let started = Instant::now();
    let report = first.scrub("all", u64::MAX).await?.report(|_| {}).await?;
    if !report.is_clean() {
        return Err(Failure::mesh("not every copy was read, and whole", "see: shoal scrub --all"));
    }
    Ok((report.bytes > 0).then(|| super::mb_per_second(report.bytes, started.elapsed())))
}

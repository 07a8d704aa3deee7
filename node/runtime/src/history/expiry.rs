//! Former versions go when their bucket's time is over.
//!
//! The first acceptor of a name removes them; while somebody is away, they all
//! wait. It does not trust its own wall clock alone: a machine whose clock is
//! years ahead would take all of the history with it. It goes by the median of
//! some members' clocks, of whom more than a half must have answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use shoal_types::{BucketName, PeerId, RegisterKind, RegisterPlace, RegisterSpan, Request, Response, Result};

use super::FormerVersion;
use crate::context::Context;
use crate::placed::Placed;
use crate::{at_rest, buckets};

/// Versions looked at in one step.
const PAGE: usize = 500;

/// Members whose clocks are asked.
const CLOCKS: usize = 9;

/// Removes what is over for as long as the peer lives.
pub(crate) async fn run(context: Arc<Context>) {
    loop {
        let layout = at_rest::next_round(&context).await;
        let removed = round(&context, &layout).await;
        at_rest::log(removed, "former versions whose time is over are gone", "not all former versions are looked at");
    }
}

/// One look at all versions here; how many went. One that cannot be dealt with
/// keeps none behind it; the last error is told at the end.
async fn round(context: &Arc<Context>, layout: &Placed) -> Result<usize> {
    let (mut after, mut count, mut now_ms) = (None::<RegisterPlace>, 0, None);
    // Each is asked for once: it takes long until it is known that nobody tells.
    let (mut failed, mut untold) = (None, BTreeSet::<BucketName>::new());
    loop {
        let (store, from) = (context.ports.store.clone(), after.take());
        let span = RegisterSpan::all(RegisterKind::Version);
        let page = context.blocking(move || store.register_scan(&span, from.as_ref(), PAGE)).await?;
        let Some(last) = page.last().and_then(|entry| entry.key.place()) else {
            return failed.map_or(Ok(count), Err);
        };
        after = Some(last);
        let is_mine =
            |version: &FormerVersion| layout.acceptors(version.name.as_str()).current.first() == Some(&context.me);
        for entry in page {
            let version = match FormerVersion::of(entry.key, entry.value.as_ref()) {
                Ok(version) => version.filter(is_mine),
                Err(error) => {
                    failed = Some(error);
                    None
                }
            };
            let Some(version) = version.filter(|version| !untold.contains(&version.name.bucket_name())) else {
                continue;
            };
            let now_ms = match now_ms {
                Some(now_ms) => now_ms,
                None => *now_ms.insert(clock_of_most(context, layout).await?),
            };
            let bucket = version.name.bucket_name();
            let settings = match buckets::settings(context, &bucket).await {
                Ok(settings) => settings,
                Err(error) => {
                    failed = Some(error);
                    untold.insert(bucket);
                    continue;
                }
            };
            let is_over =
                |replaced_ms: u64| replaced_ms.saturating_add(settings.history_s.saturating_mul(1_000)) <= now_ms;
            if is_over(version.replaced_ms) {
                match super::remove(context, &version, is_over).await {
                    Ok(went) => count += usize::from(went),
                    Err(error) => failed = Some(error),
                }
            }
        }
    }
}

/// What time it is by the median of some members' wall clocks, this peer's among them.
async fn clock_of_most(context: &Arc<Context>, layout: &Placed) -> Result<u64> {
    let mut others: Vec<PeerId> = layout.everyone().into_iter().filter(|peer| *peer != context.me).collect();
    while others.len() >= CLOCKS {
        let one = (context.random() % others.len() as u64) as usize;
        others.swap_remove(one);
    }
    let asked = others.iter().map(|peer| context.call(*peer, Request::Examine { addresses: Vec::new() }));
    let mut clocks = vec![context.ports.clock.wall_ms()];
    for answer in join_all(asked).await {
        match answer {
            Ok(Response::Examined(examined)) => clocks.push(examined.wall_ms),
            Ok(_) => return Err(context.unexpected("what time it is")),
            Err(error) => tracing::debug!(%error, "does not say what time it is"),
        }
    }
    median(clocks, others.len() + 1).ok_or_else(|| context.not_ready("too few members say what time it is"))
}

/// The lower median, if more than a half of those `asked` have answered.
fn median(mut clocks: Vec<u64>, asked: usize) -> Option<u64> {
    clocks.sort_unstable();
    let middle = clocks.len().checked_sub(1)? / 2;
    (clocks.len() * 2 > asked).then(|| clocks[middle])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_years_ahead_does_not_say_what_time_it_is() {
        assert_eq!(median(vec![u64::MAX, 10, 12], 3), Some(12));
        assert_eq!(median(vec![u64::MAX, 10], 3), Some(10));
        assert_eq!(median(vec![u64::MAX], 3), None);
        assert_eq!(median(vec![7], 1), Some(7));
        assert_eq!(median(vec![5, 6], 4), None, "no more than a half");
    }
}

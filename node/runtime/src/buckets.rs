//! How the objects of a bucket are kept: a register for each bucket of which
//! somebody has said so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use shoal_register::{Decision, Ending};
use shoal_types::{
    BucketChange, BucketName, BucketSettings, Error, ObjectName, RegisterKey, RegisterKind, RegisterPlace,
    RegisterSpan, Result, wire,
};

use crate::chunks::Durability;
use crate::context::{Context, lock};
use crate::moment::Moment;
use crate::names;
use crate::registers::Begin;

/// For so long settings that were read are believed: a put then need not ask.
const FRESH: Duration = Duration::from_secs(5);

/// Clocks do not run alike.
const SKEW_MAX: Duration = Duration::from_secs(1);

/// Who changes settings waits so long until nobody believes the former ones.
const FOLLOWED: Duration = FRESH.saturating_add(SKEW_MAX);

/// Buckets whose settings are remembered.
const REMEMBERED_MAX: usize = 4_096;

/// Buckets in a page of them.
const PAGE: u32 = 500;

/// Settings that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Believed {
    pub(crate) settings: BucketSettings,
    /// When the reading began.
    since: Moment,
}

impl Believed {
    /// Whether a change that was begun by them is over for whoever has changed
    /// them since.
    pub(crate) fn is_outlived(&self, context: &Context) -> bool {
        self.since.age(context) >= FRESH + context.config.timing.name
    }

    fn is_over_at(&self, now: Moment) -> bool {
        self.since.until(now) >= FRESH
    }
}

/// Settings that were read lately.
#[derive(Default)]
pub(crate) struct Buckets(Mutex<BTreeMap<BucketName, Believed>>);

impl Buckets {
    fn find(&self, bucket: &BucketName, now: Moment) -> Option<Believed> {
        lock(&self.0).get(bucket).filter(|believed| !believed.is_over_at(now)).copied()
    }

    fn remember(&self, bucket: &BucketName, believed: Believed) {
        let mut known = lock(&self.0);
        if known.len() >= REMEMBERED_MAX {
            known.retain(|_, earlier| !earlier.is_over_at(believed.since));
        }
        // One more than fits is asked for each time.
        if known.len() < REMEMBERED_MAX {
            known.insert(bucket.clone(), believed);
        }
    }
}

fn decoded(value: Option<&Bytes>) -> Result<BucketSettings> {
    value.map_or_else(|| Ok(BucketSettings::default()), |value| wire::decode(value))
}

/// How objects of a bucket are kept; not older than [`FRESH`]. Costs a read of
/// a register now and then.
pub(crate) async fn settings(context: &Arc<Context>, bucket: &BucketName) -> Result<BucketSettings> {
    believed(context, bucket).await.map(|believed| believed.settings)
}

/// The same for whoever goes by them for a while.
pub(crate) async fn believed(context: &Arc<Context>, bucket: &BucketName) -> Result<Believed> {
    let since = Moment::now(context);
    if let Some(known) = context.buckets.find(bucket, since) {
        return Ok(known);
    }
    let value = names::settle(context, &RegisterKey::Bucket(bucket.clone())).await?;
    let believed = Believed { settings: decoded(value.as_ref())?, since };
    context.buckets.remember(bucket, believed);
    Ok(believed)
}

/// How safe the chunks of an object are to be.
pub(crate) async fn durability(context: &Arc<Context>, name: &ObjectName) -> Result<Durability> {
    settings(context, &name.bucket_name()).await.map(Durability::from)
}

/// Changes how objects of a bucket are kept, and gives what holds then. Every
/// put that begins after it has returned is kept so, at whichever peer: that
/// takes it some seconds. Where a history is asked for, it takes as much longer
/// as an operation on a name may: what was begun before there was one, and
/// replaces without keeping, is over by then. So it is also for who finds one
/// there: another may have begun it a moment ago.
///
/// # Errors
/// [`Error::Invalid`] for what cannot be kept; then nothing is changed.
pub(crate) async fn change(
    context: &Arc<Context>,
    bucket: &BucketName,
    change: BucketChange,
) -> Result<BucketSettings> {
    let mut refused = None;
    let key = RegisterKey::Bucket(bucket.clone());
    let outcome = names::propose(context, &key, Begin::Preparing, |found| {
        let changed = decoded(found).and_then(|settings| change.applied_to(settings).checked());
        match changed.and_then(|settings| wire::encode(&settings)) {
            Ok(value) if found == Some(&value) => Decision::Leave,
            Ok(value) => Decision::Write(Some(value)),
            Err(error) => {
                refused = Some(error);
                Decision::Refuse
            }
        }
    });
    let outcome = outcome.await?;
    if outcome.ending == Ending::Refused {
        return Err(refused.unwrap_or_else(|| Error::bug("settings refused for nothing")));
    }
    let asks_history = change.history_s.is_some_and(|wanted| wanted > 0);
    let under_way = if asks_history { context.config.timing.name } else { Duration::ZERO };
    context.ports.clock.sleep(FOLLOWED + under_way).await;
    decoded(outcome.value.as_ref())
}

/// Buckets with settings of their own.
pub(crate) async fn list(context: &Arc<Context>) -> Result<Vec<(BucketName, BucketSettings)>> {
    let (mut all, mut after) = (Vec::new(), None::<RegisterPlace>);
    loop {
        let page = names::scan(context, &RegisterSpan::all(RegisterKind::Bucket), after.as_ref(), PAGE).await?;
        for (key, value) in page.entries {
            if let (RegisterKey::Bucket(bucket), settings) = (key, decoded(value.as_ref())?)
                && settings != BucketSettings::default()
            {
                all.push((bucket, settings));
            }
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(all),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_believed_for_a_while_and_memory_is_bounded() {
        let buckets = Buckets::default();
        let at = |seconds| Moment { at: Duration::from_secs(seconds), wall_ms: 0 };
        let name = |n: usize| BucketName::new(format!("b{n}")).unwrap();
        let settings = BucketSettings { history_s: 60, ..BucketSettings::default() };
        let kept = |since| Believed { settings, since: at(since) };
        buckets.remember(&name(0), kept(10));
        assert_eq!(buckets.find(&name(0), at(14)), Some(kept(10)));
        assert_eq!((buckets.find(&name(0), at(15)), buckets.find(&name(1), at(10))), (None, None));
        for n in 0..REMEMBERED_MAX + 10 {
            buckets.remember(&name(n), kept(20));
        }
        assert_eq!(lock(&buckets.0).len(), REMEMBERED_MAX);
        assert_eq!(buckets.find(&name(REMEMBERED_MAX + 5), at(20)), None);
        buckets.remember(&name(REMEMBERED_MAX + 5), kept(30));
        assert_eq!(lock(&buckets.0).len(), 1, "what is old makes room");
    }
}

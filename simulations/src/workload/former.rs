//! What names of a bucket with a history stood for: it must be found.

use std::time::Duration;

use shoal_runtime::Peer;
use shoal_types::{BucketChange, BucketName, Error, ObjectName};

use crate::host::HostId;
use crate::ledger::{OperationKind, Outcome};
use crate::random::Random;
use crate::scenario::Workload;
use crate::world::World;

/// The bucket with a history.
const BUCKET: &str = "kept";

/// Longer than any run.
const HISTORY_S: u64 = 30 * 24 * 3_600;

/// After this another peer is asked for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of so many operations one is on a name with a history, and goes with a look back.
const ONE_OF: u64 = 4;

impl World {
    /// Gives the bucket its history, if the scenario has names in it. They are
    /// used once that is so.
    pub(super) fn give_history(&self, workload: &Workload, end: Duration) {
        if workload.kept == 0 {
            return;
        }
        let change = BucketChange { history_s: Some(HISTORY_S), ..BucketChange::default() };
        self.keep_bucket(BUCKET, change, end, self.random(&[604]));
    }

    /// Has a bucket kept so, from before its names are used.
    pub(super) fn keep_bucket(&self, bucket: &'static str, change: BucketChange, end: Duration, mut random: Random) {
        let world = self.clone();
        tokio::spawn(async move {
            while world.now() < end {
                if let (Some((host, peer)), Ok(name)) = (world.any_peer(&mut random), BucketName::new(bucket)) {
                    let changed = world.ask_at(host, PATIENCE, async move { peer.change_bucket(name, change).await });
                    if let Some(Ok(_)) = changed.await {
                        world.state().ledger.history.is_ready(bucket);
                        return;
                    }
                }
                world.sleep(Duration::from_millis(500)).await;
            }
        });
    }

    /// Now and then a name in that bucket.
    pub(super) fn kept_name(&self, workload: &Workload, random: &mut Random) -> Option<String> {
        let is_ready = workload.kept > 0 && self.state().ledger.history.is_in_use(BUCKET);
        let is_one = is_ready && random.below(ONE_OF) == 0;
        is_one.then(|| format!("{BUCKET}/{}", random.below(u64::from(workload.kept))))
    }

    /// Something that was put under that name, if it is one with a history.
    pub(super) fn former_content(&self, name: &str, random: &mut Random) -> Option<u64> {
        if !name.starts_with(BUCKET) {
            return None;
        }
        let state = self.state();
        let done = |kind: OperationKind, outcome: &Outcome| match (kind, outcome) {
            (
                OperationKind::Put { content }
                | OperationKind::PutIfAbsent { content }
                | OperationKind::PutIfMatch { content, .. },
                Outcome::Done { .. },
            ) => Some(content),
            _ => None,
        };
        let all = state.ledger.history.all().iter().filter(|operation| operation.name == name);
        let put: Vec<u64> = all.filter_map(|operation| done(operation.kind, &operation.outcome)).collect();
        let chosen = (!put.is_empty()).then(|| random.below(put.len() as u64) as usize)?;
        put.get(chosen).copied()
    }

    /// Asks for it: that there is none is wrong, unless a disk was lost or lies.
    pub(super) async fn look_up(&self, host: HostId, peer: &Peer, name: &str, content: u64) {
        let Some(etag) = self.state().ledger.history.etag(content) else { return };
        let Ok(object) = ObjectName::new(name) else { return };
        let found = peer.stat_version(object, etag).await;
        {
            let ledger = &mut self.state().ledger;
            if !ledger.copies.are_reliable() || !ledger.copies.lost_disks().is_empty() {
                return;
            }
            ledger.looks.former += u64::from(matches!(found, Ok(_) | Err(Error::NotFound { .. })));
        }
        if matches!(found, Err(Error::NotFound { .. })) {
            let what = format!("'{name}' stood for {content:x}, which is not in its history");
            self.violate("history-is-kept", &[host], what);
        }
    }
}

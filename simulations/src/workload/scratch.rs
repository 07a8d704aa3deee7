//! A bucket of one copy, and contents of it of which there are to be more.

use std::time::Duration;

use shoal_types::{BucketChange, ObjectName};

use crate::random::Random;
use crate::scenario::Workload;
use crate::world::World;

/// The bucket of one copy.
pub(crate) const BUCKET: &str = "scratch";

/// Of so many operations one is on a name of it.
const ONE_OF: u64 = 4;

/// Copies that there are to be of an object's chunks, where the mesh has `default`.
pub(crate) fn copies_of(name: &ObjectName, default: u32) -> u32 {
    if name.bucket() == BUCKET { 1 } else { default }
}

/// What a client has put into that bucket, to be put elsewhere as well.
#[derive(Clone, Copy)]
pub(super) struct Scratched {
    pub(super) content: u64,
    pub(super) length: usize,
}

impl World {
    /// Has one copy kept of what is in the bucket, if the scenario has names in it.
    pub(super) fn give_scratch(&self, workload: &Workload, end: Duration) {
        if workload.scratch > 0 {
            let change = BucketChange { replicas: Some(1), ..BucketChange::default() };
            self.keep_bucket(BUCKET, change, end, self.random(&[605]));
        }
    }

    /// Now and then a name in that bucket.
    pub(super) fn scratch_name(&self, workload: &Workload, random: &mut Random) -> Option<String> {
        let is_ready = workload.scratch > 0 && self.state().ledger.history.is_in_use(BUCKET);
        let is_one = is_ready && random.below(ONE_OF) == 0;
        is_one.then(|| format!("{BUCKET}/{}", random.below(u64::from(workload.scratch))))
    }
}

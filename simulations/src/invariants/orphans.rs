use std::collections::BTreeMap;
use std::time::Duration;

use shoal_types::JobId;

use super::calm::{Calm, Turns};
use super::{Invariant, Moment};
use crate::host::HostId;
use crate::world::World;

/// After the end that a client saw, while nothing goes wrong.
const TOLD: Duration = Duration::from_secs(5);

/// After the death of a coordinator: until the others know of it, by a link
/// that says nothing (20 s) or by the failure detector.
const BEREFT: Duration = Duration::from_secs(40);

/// Peers that are looked at per tick.
const LOOKED_AT: usize = 64;

/// Nothing runs for a job that is over. What it leaves behind is kept no
/// longer than it takes to say so, where there is somebody to say so.
#[derive(Default)]
pub(crate) struct NoOrphans {
    calm: Calm,
    turns: Turns,
}

/// A run of a job that is over.
#[derive(Clone, Copy)]
struct Over {
    at: Duration,
    coordinator: HostId,
    /// Whether its coordinator was there to say so.
    told: bool,
}

impl Invariant for NoOrphans {
    fn name(&self) -> &'static str {
        "no-orphans"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        self.calm.look(world);
        let (over, up, now) = self.over(world);
        if over.is_empty() {
            return false;
        }
        let most = if moment == Moment::Tick { LOOKED_AT } else { usize::MAX };
        for host in self.turns.next(&up, most) {
            let compute = world.state().hosts[host.index()].running.as_ref().map(|running| running.compute.clone());
            let Some(compute) = compute else {
                continue;
            };
            let running =
                compute.running().into_iter().map(|(output, _)| (output.task.job, format!("task {output} runs")));
            let kept =
                compute.kept().into_iter().map(|(job, bytes)| (job, format!("{bytes} bytes of outputs are kept")));
            for (job, what) in running.chain(kept) {
                let Some(over) = over.get(&job) else {
                    continue;
                };
                if let Some(late) = self.late(host, *over, now) {
                    let what = format!("{what} on {host} for {job}, which was over {} s ago", late.as_secs());
                    world.violate("no-orphans", &[host, over.coordinator], what);
                }
            }
        }
        true
    }
}

impl NoOrphans {
    /// The runs of jobs that are over, and who is up.
    fn over(&self, world: &World) -> (BTreeMap<JobId, Over>, Vec<HostId>, Duration) {
        let state = world.state();
        let runs = state.ledger.jobs.records.iter().flat_map(|job| &job.runs);
        let over = runs.filter_map(|run| {
            let over = Over { at: run.over?, coordinator: run.coordinator, told: run.told };
            Some((run.id, over))
        });
        let over = over.collect();
        let up = (0..).zip(&state.hosts).filter(|(_, host)| host.is_up()).map(|(n, _)| HostId(n)).collect();
        (over, up, state.heap.now())
    }

    /// For how long it has been over, if that is too long: counted from when
    /// word of it could get through.
    fn late(&self, host: HostId, over: Over, now: Duration) -> Option<Duration> {
        let calm = self.calm.host_since(host)?;
        let patience = if over.told && self.calm.host_since(over.coordinator)? <= over.at { TOLD } else { BEREFT };
        (now > over.at.max(calm) + patience).then(|| now - over.at)
    }
}

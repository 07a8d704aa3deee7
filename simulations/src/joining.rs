//! How long it takes a newcomer to be a member like any other.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_runtime::Peer;
use shoal_types::Result;

use crate::detection::{Spread, ms};
use crate::executor::{self, Idle};
use crate::host::HostId;
use crate::scenario::Scenario;
use crate::simulation::Simulation;
use crate::world::World;

/// A mesh has so long to form, and then to take somebody in.
const PATIENCE: Duration = Duration::from_secs(300);

/// Time in which a mesh that has formed comes to rest.
const REST: Duration = Duration::from_secs(15);

/// To within this a time is measured.
const STEP: Duration = Duration::from_millis(10);

/// What it takes the last of so many peers to join the others, over a number
/// of seeds. Times are virtual, in ms, from the start of its process: they
/// hold what peers wait for one another, not what they compute, and there is
/// no data that would have to move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoiningRow {
    /// With the newcomer.
    pub peers: u32,
    pub seeds: u64,
    /// Until it can ask a member: it takes queries, and reads.
    pub ready_ms: Spread,
    /// Until everybody has a link to it, and it to everybody.
    pub linked_ms: Spread,
    /// Until everybody has settled on a layout with it: it owns its share.
    pub settled_ms: Spread,
    /// Versions of the layout that this took.
    pub versions: Spread,
    /// Runs that did not come so far.
    pub failed: u64,
}

/// Has the last of `peers` join, for each seed, and measures. The same peers
/// and seeds give the same row. Needs a stack of
/// [`STACK_BYTES`](crate::STACK_BYTES); 100 peers take some seconds a seed.
///
/// # Errors
///
/// There cannot be so many peers.
pub fn joining(peers: u32, seeds: Range<u64>) -> Result<JoiningRow> {
    let count = seeds.end.saturating_sub(seeds.start);
    let scenario = Scenario { peers, latecomers: 1, ..Scenario::default() };
    let (mut ready, mut linked, mut settled, mut versions) = (vec![], vec![], vec![], vec![]);
    let mut failed = 0;
    for seed in seeds {
        let world = Simulation::new(scenario.clone(), seed).world()?;
        let run = executor::run(async |idle| {
            let run = Run { world, idle, newcomer: HostId(peers - 1) };
            let joined = run.join().await;
            run.world.clear();
            run.idle.reached().await;
            joined
        });
        match run.map_err(|error| shoal_types::Error::bug(format!("no runtime: {error}")))? {
            Some(joined) => {
                ready.push(ms(joined.ready));
                linked.push(ms(joined.linked));
                settled.push(ms(joined.settled));
                versions.push(joined.versions);
            }
            None => failed += 1,
        }
    }
    Ok(JoiningRow {
        peers,
        seeds: count,
        ready_ms: Spread::of(ready),
        linked_ms: Spread::of(linked),
        settled_ms: Spread::of(settled),
        versions: Spread::of(versions),
        failed,
    })
}

struct Joined {
    ready: Duration,
    linked: Duration,
    settled: Duration,
    versions: u64,
}

struct Run {
    world: World,
    idle: Arc<Idle>,
    newcomer: HostId,
}

impl Run {
    /// `None` where something did not come to be.
    async fn join(&self) -> Option<Joined> {
        let mut random = self.world.random(&[1]);
        for host in self.world.hosts() {
            self.world.start(host);
        }
        self.until(|world| world.is_formed()).await?;
        self.world.run_until(&self.idle, self.world.now() + REST + random.time_below(REST)).await;
        let before = self.world.peers().first()?.1.layout()?.version;
        self.world.introduce(self.newcomer, &mut random);
        self.world.release(self.newcomer);
        let all = self.world.hosts().len();
        let everyone = |holds: fn(&Peer, usize) -> bool| {
            move |world: &World| {
                let peers = world.peers();
                peers.len() == all && peers.iter().all(|(_, peer)| holds(peer, all))
            }
        };
        let ready = self.until(everyone(|peer, _| peer.layout().is_some())).await?;
        let linked = self.until(everyone(|peer, all| peer.live_count() + 1 == all)).await?;
        let settled = self.until(|world| world.is_formed()).await?;
        let after = self.world.peers().first()?.1.layout()?.version;
        Some(Joined { ready, linked: ready + linked, settled: ready + linked + settled, versions: after - before })
    }

    /// How long it takes until something holds.
    async fn until(&self, holds: impl Fn(&World) -> bool) -> Option<Duration> {
        let began = self.world.now();
        loop {
            let passed = self.world.now() - began;
            if !self.world.state().broken.is_empty() || passed > PATIENCE {
                return None;
            }
            if holds(&self.world) {
                return Some(passed);
            }
            self.world.run_until(&self.idle, self.world.now() + STEP).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_soon_a_member_and_takes_two_versions_of_the_layout() {
        let rows = [2, 10].map(|peers| joining(peers, 0..2).unwrap());
        for row in &rows {
            assert_eq!((row.seeds, row.failed), (2, 0), "{row:?}");
            assert!(0 < row.ready_ms.p50 && row.ready_ms.max <= row.settled_ms.max, "{row:?}");
            assert!(row.linked_ms.max < 5_000 && row.settled_ms.max < 10_000, "{row:?}");
            assert_eq!(row.versions, Spread { p50: 2, max: 2 }, "joint, and settled");
        }
        assert_eq!(rows[0], joining(2, 0..2).unwrap());
    }
}

//! How soon a death is noticed, and what looking out for it costs.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_types::Health;

use crate::swim::Sent;
use crate::{NetworkConditions, Random, SwimWorld};

/// A mesh has so long to get to know itself, and then to notice a death.
const PATIENCE: Duration = Duration::from_secs(600);

/// What gossip tells of those who have come is over after so long.
const SETTLE: Duration = Duration::from_secs(15);

/// So long what a settled mesh sends is counted.
const STEADY: Duration = Duration::from_secs(10);

/// To within this a time is measured.
const STEP: Duration = Duration::from_millis(10);

const SECOND: Duration = Duration::from_secs(1);

/// The middle and the worst of what was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    pub p50: u64,
    pub max: u64,
}

impl Spread {
    pub(crate) fn of(mut measured: Vec<u64>) -> Self {
        measured.sort_unstable();
        let at = |index: usize| measured.get(index).copied().unwrap_or_default();
        Self { p50: at(measured.len() / 2), max: at(measured.len().saturating_sub(1)) }
    }
}

/// What the failure detectors of a mesh of one size do, over a number of
/// seeds. Times are virtual, in ms: of deaths that nothing tells of, so that
/// probes alone find them. What is sent is counted per peer, in packets of
/// gossip and their bytes, without what the transport adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetectionRow {
    pub peers: u32,
    pub seeds: u64,
    /// From the death until somebody suspects it.
    pub suspected_ms: Spread,
    /// Until somebody declares it.
    pub dead_first_ms: Spread,
    /// Until everybody knows it.
    pub dead_last_ms: Spread,
    /// Sent in a second by a peer of a mesh that has settled.
    pub packets_per_s: Spread,
    pub bytes_per_s: Spread,
    /// From the start of all peers, each of which has been told of one, until
    /// everybody knows everybody.
    pub join_ms: Spread,
    /// Sent meanwhile by a peer in its busiest second.
    pub join_bytes_per_s: Spread,
    /// Runs in which the peers did not get to know each other, or a death was not noticed.
    pub failed: u64,
}

/// Has one of `peers` die, for each seed, and measures. The same peers and
/// seeds give the same row.
///
/// Memory and time grow with the square of the peers, time with the seeds too:
/// in a release build a run of 100 peers takes a fifth of a second, of 1,000 a
/// quarter of a minute and 0.7 GB, of 2,000 a minute and 2.6 GB, of 5,000 ten
/// minutes or more and at least 14 GB.
pub fn detection(peers: u32, seeds: Range<u64>) -> DetectionRow {
    let mut all = Measures::default();
    let count = seeds.end.saturating_sub(seeds.start);
    for seed in seeds {
        let mut run = Run::new(peers as usize, seed);
        all.failed += u64::from(run.measure(&mut all).is_none());
    }
    DetectionRow {
        peers,
        seeds: count,
        suspected_ms: Spread::of(all.suspected),
        dead_first_ms: Spread::of(all.dead_first),
        dead_last_ms: Spread::of(all.dead_last),
        packets_per_s: Spread::of(all.packets),
        bytes_per_s: Spread::of(all.bytes),
        join_ms: Spread::of(all.join),
        join_bytes_per_s: Spread::of(all.join_bytes),
        failed: all.failed,
    }
}

#[derive(Default)]
struct Measures {
    suspected: Vec<u64>,
    dead_first: Vec<u64>,
    dead_last: Vec<u64>,
    packets: Vec<u64>,
    bytes: Vec<u64>,
    join: Vec<u64>,
    join_bytes: Vec<u64>,
    failed: u64,
}

struct Run {
    world: SwimWorld,
    peers: usize,
    random: Random,
}

impl Run {
    fn new(peers: usize, seed: u64) -> Self {
        let world = SwimWorld::new(peers, NetworkConditions::default(), seed);
        Self { world, peers, random: Random::of(seed, &[1]) }
    }

    /// `None` where something did not come to be.
    fn measure(&mut self, into: &mut Measures) -> Option<()> {
        self.join(into)?;
        self.world.run_until(self.world.now() + SETTLE);
        let before = self.sent();
        self.world.run_until(self.world.now() + STEADY);
        let per_second = |count: u64| count.div_ceil(STEADY.as_secs());
        for (before, after) in before.iter().zip(self.sent()) {
            into.packets.push(per_second(after.packets - before.packets));
            into.bytes.push(per_second(after.bytes - before.bytes));
        }
        self.world.run_until(self.world.now() + self.random.time_below(SECOND));
        self.kill(into)
    }

    fn join(&mut self, into: &mut Measures) -> Option<()> {
        let mut busiest = vec![0; self.peers];
        let mut before = self.sent();
        // Nobody is forgotten: who knows all need not be looked at again.
        let mut complete = 0;
        while complete < self.peers {
            let end = self.world.now() + STEP;
            if end > PATIENCE {
                return None;
            }
            self.world.run_until(end);
            while complete < self.peers && self.world.living(complete) == self.peers - 1 {
                complete += 1;
            }
            if end.subsec_nanos() == 0 || complete == self.peers {
                let after = self.sent();
                for (busiest, (before, after)) in busiest.iter_mut().zip(before.iter().zip(&after)) {
                    *busiest = after.bytes.saturating_sub(before.bytes).max(*busiest);
                }
                before = after;
            }
        }
        into.join.push(ms(self.world.now()));
        into.join_bytes.append(&mut busiest);
        Some(())
    }

    fn kill(&mut self, into: &mut Measures) -> Option<()> {
        let victim = self.random.below(self.peers as u64) as usize;
        let died = self.world.now();
        self.world.kill(victim);
        let (mut suspected, mut dead) = (None, None);
        let mut unknowing: Vec<usize> = (0..self.peers).filter(|n| *n != victim).collect();
        while !unknowing.is_empty() {
            let after = self.world.now() + STEP - died;
            if after > PATIENCE {
                return None;
            }
            self.world.run_until(died + after);
            unknowing.retain(|observer| {
                let health = self.world.health(*observer, victim);
                if health != Some(Health::Alive) {
                    suspected.get_or_insert(after);
                }
                if health == Some(Health::Dead) {
                    dead.get_or_insert(after);
                }
                health != Some(Health::Dead)
            });
        }
        into.suspected.push(ms(suspected?));
        into.dead_first.push(ms(dead?));
        into.dead_last.push(ms(self.world.now() - died));
        Some(())
    }

    fn sent(&self) -> Vec<Sent> {
        (0..self.peers).map(|n| self.world.sent(n)).collect()
    }
}

pub(crate) fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_what_is_promised_and_costs_no_more_in_a_larger_mesh() {
        let rows = [5, 40].map(|peers| detection(peers, 0..3));
        for row in &rows {
            assert_eq!((row.seeds, row.failed), (3, 0), "{row:?}");
            assert!(row.suspected_ms.max <= 3_000 && row.dead_last_ms.max <= 10_000, "{row:?}");
            assert!(row.suspected_ms.p50 < row.dead_first_ms.p50 && row.dead_first_ms.p50 <= row.dead_last_ms.p50);
            assert!((5..=10).contains(&row.packets_per_s.p50) && row.bytes_per_s.max < 1_000, "{row:?}");
        }
        assert!(rows[1].packets_per_s.p50 <= rows[0].packets_per_s.p50 + 1, "{rows:?}");
        assert_eq!(rows[0], detection(5, 0..3));
    }
}

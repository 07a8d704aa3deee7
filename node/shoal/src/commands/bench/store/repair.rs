//! How soon all copies are there again after a peer has died, and what those
//! who put and get meanwhile notice of it.
//!
//! ```text
//!   kill ─▶ noticed ─▶ first copy ─▶ half of them ─▶ all ─▶ the same without repair
//!                          │ nobody waits │ small puts and gets │ small puts and gets
//! ```

use std::cell::Cell;
use std::time::Duration;

use futures::future::try_join_all;
use futures::try_join;
use serde::Serialize;
use shoal_gateway::Client;
use shoal_types::ObjectName;
use tokio::time::Instant;

use super::pace::{Counts, Pace, counted};
use super::small::{Get, Put};
use super::{Load, mb_per_second};
use crate::failure::Failure;
use crate::local_mesh::LocalMesh;

/// How often it is looked again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// When it is given up.
const REPAIR_TIME_MAX: Duration = Duration::from_secs(900);

/// For how long puts are measured, then gets, in turn.
const ROUND: Duration = Duration::from_millis(500);

/// Without repair so many rounds are measured at least.
const CALM_ROUNDS_MIN: u32 = 4;

/// What became of the copies that a killed peer had.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Repair {
    /// From the death until all copies were there again, a part of it under load.
    pub(super) seconds: f64,
    /// From the death until the first one was made: so long it took to be noticed.
    pub(super) noticed_seconds: f64,
    pub(super) bytes: u64,
    /// While nobody waited for anything, and while small objects were put and got.
    pub(super) quiet_mb_per_second: Option<f64>,
    pub(super) loaded_mb_per_second: Option<f64>,
    /// During repair, and afterwards without the dead peer.
    pub(super) put: Option<Pace>,
    pub(super) get: Option<Pace>,
    pub(super) calm_put: Option<Pace>,
    pub(super) calm_get: Option<Pace>,
}

impl Repair {
    /// p99 of puts during repair, over that without.
    pub(super) fn put_p99_ratio(&self) -> Option<f64> {
        Some(self.put.as_ref()?.p99_ms / self.calm_put.as_ref()?.p99_ms)
    }

    pub(super) fn get_p99_ratio(&self) -> Option<f64> {
        Some(self.get.as_ref()?.p99_ms / self.calm_get.as_ref()?.p99_ms)
    }
}

/// Kills the last peer, and watches the others until they hold as many bytes
/// of chunks as all did before; `None` when that takes too long.
pub(super) async fn after_a_kill(mesh: &mut LocalMesh, load: Load) -> Result<Option<Repair>, Failure> {
    let gateways = mesh.gateways();
    let clients = gateways.iter().map(|gateway| Client::new(gateway)).collect::<Result<Vec<_>, _>>()?;
    let Some((dead, living)) = clients.split_last() else { return Ok(None) };
    let (bytes, before) = (held(std::slice::from_ref(dead)).await?, held(living).await?);
    if !mesh.kill(&format!("peer-{}", gateways.len())) {
        return Err(Failure::mesh("the peer that was to be killed is gone already", ""));
    }
    let killed = Instant::now();
    let until = async |bytes| {
        while killed.elapsed() < REPAIR_TIME_MAX {
            let held = held(living).await?;
            if held >= bytes {
                return Ok::<_, Failure>(Some((Instant::now(), held)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        eprintln!("warning: not all copies were there again within {} s", REPAIR_TIME_MAX.as_secs());
        Ok(None)
    };
    let Some(first) = until(before + 1).await? else { return Ok(None) };
    let Some(half) = until(before + bytes / 2).await? else { return Ok(None) };
    let mut under_load = Measured::default();
    let whole = Cell::new(None);
    let watch = async {
        let found = until(before + bytes).await;
        whole.set(Some(()));
        found
    };
    let work = async {
        let mut round = 0;
        while whole.get().is_none() {
            under_load.round(living, load, &format!("repair/{round}")).await?;
            round += 1;
        }
        Ok(round)
    };
    let (Some(all), rounds) = try_join!(watch, work)? else { return Ok(None) };
    let mut calm = Measured::default();
    for round in 0..rounds.max(CALM_ROUNDS_MIN) {
        calm.round(living, load, &format!("calm/{round}")).await?;
    }
    let speed = |from: (Instant, u64), to: (Instant, u64)| {
        let bytes = to.1.checked_sub(from.1).filter(|bytes| *bytes > 0)?;
        Some(mb_per_second(bytes, to.0 - from.0))
    };
    let ((put, get), (calm_put, calm_get)) = (under_load.paces(), calm.paces());
    Ok(Some(Repair {
        seconds: (all.0 - killed).as_secs_f64(),
        noticed_seconds: (first.0 - killed).as_secs_f64(),
        bytes,
        quiet_mb_per_second: speed(first, half),
        loaded_mb_per_second: speed(half, all),
        put,
        get,
        calm_put,
        calm_get,
    }))
}

/// Bytes of chunks that these peers have together.
async fn held(clients: &[Client]) -> Result<u64, Failure> {
    let told = try_join_all(clients.iter().map(Client::status)).await?;
    Ok(told.iter().map(|status| status.chunk_bytes).sum())
}

/// Small puts and gets, in turn, and how long they were repeated.
#[derive(Default)]
struct Measured {
    puts: Counts,
    put_time: Duration,
    gets: Counts,
    get_time: Duration,
}

impl Measured {
    async fn round(&mut self, clients: &[Client], load: Load, prefix: &str) -> Result<(), Failure> {
        let jobs = || (0..load.jobs).zip(clients.iter().cycle().cloned());
        let put = |(job, client)| Put { client, prefix: format!("{prefix}/{job}"), names: Vec::new() };
        let (counts, time, putters) = counted(jobs().map(put).collect(), ROUND).await?;
        self.puts.add(counts);
        self.put_time += time;
        let names: std::sync::Arc<[ObjectName]> = putters.into_iter().flat_map(|job| job.names).collect();
        let apart = names.len() / usize::from(load.jobs);
        let get = |(job, client)| Get { client, names: names.clone(), at: usize::from(job) * apart };
        let (counts, time, _) = counted(jobs().map(get).collect(), ROUND).await?;
        self.gets.add(counts);
        self.get_time += time;
        Ok(())
    }

    fn paces(self) -> (Option<Pace>, Option<Pace>) {
        (Pace::of(self.puts, self.put_time), Pace::of(self.gets, self.get_time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_notice_is_the_ratio_of_the_slowest_hundredths() {
        let pace = |ms| {
            let times = vec![Duration::from_millis(ms); 3];
            Pace::of(Counts { times, ..Counts::default() }, Duration::from_secs(1))
        };
        let repair = Repair {
            seconds: 1.0,
            noticed_seconds: 1.0,
            bytes: 1,
            quiet_mb_per_second: None,
            loaded_mb_per_second: None,
            put: pace(30),
            get: pace(7),
            calm_put: pace(20),
            calm_get: None,
        };
        assert_eq!((repair.put_p99_ratio(), repair.get_p99_ratio()), (Some(1.5), None));
    }
}

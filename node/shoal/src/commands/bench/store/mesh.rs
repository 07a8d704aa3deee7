//! What one mesh does as a store.

use std::sync::Arc;

use serde::Serialize;
use shoal_gateway::Client;
use shoal_runtime::PutCondition;
use shoal_types::{Etag, ObjectName};

use super::machine::Machine;
use super::machine::beside::Beside;
use super::pace::{Pace, repeat};
use super::repair::{self, Repair};
use super::scratch::{Scratch, blocking};
use super::small::{self, Get, Put, Swap};
use super::{Load, Shape, large, mb_per_second, names, processes, scrub};
use crate::failure::Failure;
use crate::local_mesh::{LocalMesh, MeshOptions};
use crate::start::Writing;

/// The figures of a mesh; `null` is what was not or could not be measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename = "mesh")]
pub(super) struct MeshRow {
    pub(super) peers: u16,
    pub(super) replicas: u16,
    /// Whether its peers synced what they acknowledged.
    pub(super) synced: bool,
    /// Whether large chunks went past the page cache.
    pub(super) direct: bool,
    pub(super) jobs: u16,
    /// What the machine does as [`Machine`] has it, measured just before and just after the put.
    pub(super) copy_mb_per_second: f64,
    pub(super) checked_copy_mb_per_second: f64,
    /// Objects of 16 MiB, the peers asked in turn; the ratio is to that synced copy.
    pub(super) put_mb_per_second: f64,
    pub(super) put_ratio: f64,
    /// To that checked copy.
    pub(super) put_checked_ratio: f64,
    /// The ratios are to the machine's read, and to its checked read.
    pub(super) get_mb_per_second: f64,
    pub(super) get_ratio: f64,
    pub(super) get_checked_ratio: f64,
    /// Whether every peer has a copy of everything.
    pub(super) get_is_local: bool,
    /// On all disks together, for each byte of the large objects.
    pub(super) written_bytes_per_byte: Option<f64>,
    /// Objects of 1 KiB, each under a new name.
    pub(super) small_put: Option<Pace>,
    pub(super) small_get: Option<Pace>,
    /// On all disks together, for each of those puts.
    pub(super) written_bytes_per_small_put: Option<f64>,
    /// Compare-and-set, each job on a name of its own, and all on one.
    pub(super) swap: Option<Pace>,
    pub(super) swap_contended: Option<Pace>,
    pub(super) names: u32,
    pub(super) names_per_second: f64,
    /// Of each peer at the end.
    pub(super) resident_bytes: Vec<u64>,
    /// All copies read and checked, out of the page cache, by all peers at once.
    pub(super) scrub_mb_per_second: Option<f64>,
    /// After the death of a peer.
    pub(super) repair: Option<Repair>,
}

impl MeshRow {
    /// Starts a mesh within `scratch`, measures, and takes it away again.
    pub(super) async fn measure(
        scratch: &Scratch,
        machine: &Machine,
        load: Load,
        shape: Shape,
    ) -> Result<Self, Failure> {
        let Shape { peers, replicas, writing } = shape;
        let dir = scratch.path().join(format!("mesh-{peers}-{replicas}"));
        let options = MeshOptions {
            peers,
            dir: Some(dir.clone()),
            replicas: Some(replicas.into()),
            writing,
            ..MeshOptions::default()
        };
        let how = match writing {
            Writing { synced: false, .. } => ", unsynced",
            Writing { direct: true, .. } => ", direct",
            Writing { .. } => "",
        };
        let progress = |what: &str| eprintln!("peers {peers}, replicas {replicas}{how}: {what}");
        progress("starting");
        let mut mesh = LocalMesh::start(&options).await?;
        let outcome = Self::of(&mut mesh, scratch, machine, load, shape, progress).await;
        mesh.stop().await;
        let row = outcome?;
        blocking(move || std::fs::remove_dir_all(&dir).map_err(|error| Failure::file("remove", &dir, &error))).await?;
        Ok(row)
    }

    async fn of(
        mesh: &mut LocalMesh,
        scratch: &Scratch,
        machine: &Machine,
        load: Load,
        Shape { peers, replicas, writing }: Shape,
        progress: impl Fn(&str),
    ) -> Result<Self, Failure> {
        let clients = mesh.gateways().iter().map(|gateway| Client::new(gateway)).collect::<Result<Vec<Client>, _>>()?;
        progress("large objects");
        let mut beside = Beside::new(mesh.dir().join("beside"), scratch);
        beside.round(scratch).await?;
        let before = processes::written_bytes(mesh);
        let put_time = large::put(&clients, scratch).await?;
        let written = since(before, processes::written_bytes(mesh));
        beside.round(scratch).await?;
        let get_time = large::get(&clients, scratch).await?;
        progress("scrub");
        let scrub_mb_per_second = scrub::mb_per_second(&clients).await?;
        progress("small objects");
        let before = processes::written_bytes(mesh);
        let (small_put, put_names) = small_puts(&clients, load).await?;
        let small_written = since(before, processes::written_bytes(mesh));
        let small_get = small_gets(&clients, load, put_names).await?;
        progress("compare-and-set");
        let swap = swaps(&clients, load, |job| format!("swap/{job}")).await?;
        let swap_contended = swaps(&clients, load, |_| "swap/all".into()).await?;
        progress("names");
        let list_time = names::list(&clients, load.names).await?;
        let resident_bytes = processes::resident_bytes(mesh);
        // With fewer peers left than copies are wanted, they are never all there.
        let repair = if replicas > 1 && peers > replicas {
            progress("a peer dies");
            repair::after_a_kill(mesh, load).await?
        } else {
            None
        };
        let bytes = scratch.bytes();
        let (put, get) = (mb_per_second(bytes, put_time), mb_per_second(bytes, get_time));
        let puts = small_put.as_ref().map(|pace| pace.operations as f64);
        Ok(Self {
            peers,
            replicas,
            synced: writing.synced,
            direct: writing.direct,
            jobs: load.jobs,
            copy_mb_per_second: beside.copy_mb_per_second(),
            checked_copy_mb_per_second: beside.checked_copy_mb_per_second(),
            put_mb_per_second: put,
            put_ratio: put / beside.copy_mb_per_second(),
            put_checked_ratio: put / beside.checked_copy_mb_per_second(),
            get_mb_per_second: get,
            get_ratio: get / machine.read_mb_per_second,
            get_checked_ratio: get / machine.checked_read_mb_per_second,
            get_is_local: replicas >= peers,
            written_bytes_per_byte: written.map(|written| written / bytes as f64),
            written_bytes_per_small_put: small_written.zip(puts).map(|(written, puts)| written / puts),
            small_put,
            small_get,
            swap,
            swap_contended,
            names: load.names,
            names_per_second: f64::from(load.names) / list_time.as_secs_f64(),
            resident_bytes,
            scrub_mb_per_second,
            repair,
        })
    }
}

/// What was written in between; `None` where it is not known, or not counted:
/// some file systems write nothing that the system ascribes to a process.
fn since(before: Option<u64>, after: Option<u64>) -> Option<f64> {
    after?.checked_sub(before?).filter(|bytes| *bytes > 0).map(|bytes| bytes as f64)
}

/// Which job asks which peer.
fn jobs(clients: &[Client], load: Load) -> impl Iterator<Item = (u16, Client)> {
    (0..load.jobs).zip(clients.iter().cycle().cloned())
}

/// Also gives what was put.
async fn small_puts(clients: &[Client], load: Load) -> Result<(Option<Pace>, Vec<ObjectName>), Failure> {
    let put = |(job, client)| Put { client, prefix: format!("small/{job}"), names: Vec::new() };
    let (pace, jobs) = repeat(jobs(clients, load).map(put).collect(), load.time).await?;
    Ok((pace, jobs.into_iter().flat_map(|job| job.names).collect()))
}

async fn small_gets(clients: &[Client], load: Load, names: Vec<ObjectName>) -> Result<Option<Pace>, Failure> {
    if names.is_empty() {
        return Ok(None);
    }
    let names: Arc<[ObjectName]> = names.into();
    // Spread over the names, so that no two jobs want the same one at a time.
    let apart = names.len() / usize::from(load.jobs);
    let get = |(job, client)| Get { client, names: names.clone(), at: usize::from(job) * apart };
    Ok(repeat(jobs(clients, load).map(get).collect(), load.time).await?.0)
}

/// On the name that each job is given; it is made first.
async fn swaps(clients: &[Client], load: Load, name_of: impl Fn(u16) -> String) -> Result<Option<Pace>, Failure> {
    let mut swaps = Vec::new();
    for (job, client) in jobs(clients, load) {
        let name = ObjectName::new(name_of(job))?;
        let seen: Option<Etag> = Some(small::put(&client, &name, &PutCondition::Always, 0).await?);
        swaps.push(Swap { client, name, job: u64::from(job) + 1, seen, swaps: 0 });
    }
    Ok(repeat(swaps, load.time).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_is_not_told_as_nothing() {
        assert_eq!(since(Some(3), Some(5)), Some(2.0));
        assert_eq!(since(Some(3), Some(3)), None);
        assert_eq!(since(None, Some(3)), None);
        assert_eq!(since(Some(3), None), None);
    }
}

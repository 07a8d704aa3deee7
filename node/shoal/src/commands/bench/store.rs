mod large;
mod machine;
mod mesh;
mod names;
mod pace;
mod processes;
mod repair;
mod scratch;
mod scrub;
mod small;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use machine::Machine;
use mesh::MeshRow;
use scratch::{OBJECT_BYTES, Scratch};

use crate::failure::Failure;
use crate::start::Writing;
use crate::{stdout, units};

/// Objects on their way at once, and files copied at once beside them: as many as `shoal put` sends.
const LARGE_AT_ONCE: usize = 4;

/// Copies of each chunk that are measured, where there are that many peers.
const REPLICAS: [u16; 2] = [1, REPLICAS_MOST];

/// The most copies of a chunk, and peers of a mesh that does not sync.
const REPLICAS_MOST: u16 = 3;

/// The mesh as a store: MB/s, operations and names per second, beside the disk, hashes and network under it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bench store
  shoal bench store --dir /mnt/disk --bytes 8GiB --peers 1,3,4 --json
  shoal bench store --bytes 64MiB --seconds 1 --names 1000
  shoal bench store --sync on    only as it is for users

The machine is measured first: files of 16 MiB copied, each synced, as a put must; the same files read, out of \
the page cache; hashes on one core; a TCP stream over loopback; 4 KiB written and synced again and again. \
Put and get stand beside copy and read as a ratio: 1 is as fast. How fast files are copied may change by the \
minute, so it is measured again just before and just after each mesh is put anything. A get is out of the page cache too, unless DIRECT. A plain copy \
or read computes no hash and crosses no socket, as a peer must: so each stands also beside one that does, over \
loopback.

All peers and the client share this machine. Of a large put's bytes there are R or R + 1 times BLAKE3, and R \
writes to one disk, so that its ratio is 1/R at best; gets of what another peer has come over loopback. Small \
objects live in the registers of their names: what counts is how often these are synced. The client's part, HTTP \
on connections that are kept, is in every figure.

Meshes DIRECT are of peers started with 'up --direct-io': puts cost less, gets come from the disk.

What meshes UNSYNCED do tells what syncs cost: their peers say that something is on disk before it is, as no \
peer of yours does.

With more than 3 peers one is killed at the end, and it is told when 3 copies of everything were there again. The \
first half of them nobody disturbs; during the other half small objects are put and got, and how long 99 % of these \
took at most is told as a ratio to the same after the repair.")]
pub(super) struct StoreArgs {
    /// On which disk: a directory is made in there, and removed again [default: the system's temporary one].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,

    /// Of the large objects together, rounded down to whole ones of 16 MiB. The disk holds up to R + 5 times that.
    #[arg(long, default_value = "1GiB", value_parser = units::parse_bytes)]
    bytes: u64,

    /// For how long each kind of small operation is repeated.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,

    /// Small operations at a time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1_024))]
    jobs: u16,

    /// Names that are listed.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    names: u32,

    /// Meshes of so many peers, on this machine.
    #[arg(long, value_delimiter = ',', default_value = "1,3,4", value_parser = clap::value_parser!(u16).range(1..=16))]
    peers: Vec<u16>,

    /// Whether peers sync to disk before they acknowledge. Users' peers always do; without, it shows what it costs.
    /// With 'direct' they are synced, and started with 'up --direct-io'.
    #[arg(long, value_delimiter = ',', value_enum, default_value = "on,direct,off")]
    sync: Vec<Sync>,

    /// One line for the machine, then one for each mesh.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sync {
    On,
    Direct,
    Off,
}

impl Sync {
    fn writing(self) -> Writing {
        Writing { synced: self != Self::Off, direct: self == Self::Direct }
    }
}

/// A mesh that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shape {
    peers: u16,
    replicas: u16,
    writing: Writing,
}

/// What each mesh is asked to do.
#[derive(Debug, Clone, Copy)]
struct Load {
    time: Duration,
    jobs: u16,
    names: u32,
}

impl StoreArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let objects = usize::try_from(self.bytes / OBJECT_BYTES).unwrap_or(usize::MAX).max(1);
        let load = Load { time: Duration::from_secs(self.seconds.into()), jobs: self.jobs, names: self.names };
        eprintln!("making {objects} files of {}", units::bytes(OBJECT_BYTES));
        // Outlives every mesh in it; dropped on any way out, it is removed.
        let scratch = Scratch::make(self.dir.as_deref(), objects).await?;
        eprintln!("the machine");
        let machine = Machine::measure(&scratch, load.time).await?;
        if self.json {
            stdout::json_line(&machine)?;
        }
        let mut rows = Vec::new();
        for shape in meshes(&self.peers, &self.sync) {
            let row = MeshRow::measure(&scratch, &machine, load, shape).await?;
            if self.json {
                stdout::json_line(&row)?;
            }
            rows.push(row);
        }
        if self.json { Ok(()) } else { table::print(&machine, &rows) }
    }
}

/// First those that write as peers do unless they are told otherwise; of the
/// others, which are for comparison, no peer dies.
fn meshes(peers: &[u16], sync: &[Sync]) -> Vec<Shape> {
    let of = |mode: Sync| {
        let peers = peers.iter().filter(move |peers| mode == Sync::On || **peers <= REPLICAS_MOST);
        peers.flat_map(move |peers| REPLICAS.map(|replicas| Shape { peers: *peers, replicas, writing: mode.writing() }))
    };
    let modes = [Sync::On, Sync::Direct, Sync::Off].into_iter().filter(|mode| sync.contains(mode));
    let shapes = modes.flat_map(of);
    shapes.filter(|shape| shape.replicas <= shape.peers).collect()
}

/// Millions of bytes per second.
fn mb_per_second(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / 1e6 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_mesh_keeps_more_copies_than_it_has_peers() {
        let of = |sync: &[Sync]| -> Vec<(u16, u16, Writing)> {
            let shapes = meshes(&[1, 2, 3, 4], sync);
            shapes.iter().map(|shape| (shape.peers, shape.replicas, shape.writing)).collect()
        };
        let usual = [(1, 1), (2, 1), (3, 1), (3, 3), (4, 1), (4, 3)]
            .map(|(peers, replicas)| (peers, replicas, Writing::default()));
        assert_eq!(of(&[Sync::On]), usual);
        let compared =
            |mode: Sync| [(1, 1), (2, 1), (3, 1), (3, 3)].map(|(peers, replicas)| (peers, replicas, mode.writing()));
        let all = [&usual[..], &compared(Sync::Direct), &compared(Sync::Off)].concat();
        assert_eq!(of(&[Sync::Off, Sync::On, Sync::Direct]), all);
    }

    #[test]
    fn a_megabyte_is_a_million_bytes() {
        assert_eq!(mb_per_second(3_000_000, Duration::from_millis(1_500)), 2.0);
    }
}

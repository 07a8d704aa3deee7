//! What was acknowledged is there afterwards, to the last put before the blow.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::scope;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::stream;
use shoal_gateway::{Client, ClientError};
use shoal_runtime::PutCondition;
use shoal_types::{Format, Manifest, ObjectName};
use tokio::runtime::{Builder, Runtime};

use crate::mesh::{Mesh, Peer, wait};

/// Bytes of an object that rides in its manifest, and of one with a chunk.
const SMALL: usize = 500;
const LARGE: usize = 200_000;

/// Objects that are acknowledged before the blow, at least.
const ACKNOWLEDGED: usize = 50;

/// Longer than a peer needs to say that something cannot be done.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients have put, and what of it was acknowledged.
#[derive(Default)]
struct Acknowledged {
    names: Mutex<BTreeMap<String, Last>>,
    puts: AtomicUsize,
    is_over: AtomicBool,
}

/// What one name must stand for, by the numbers of the puts.
#[derive(Default)]
struct Last {
    acknowledged: Option<u64>,
    /// Those after it: each may have been made, or not.
    tried: Vec<u64>,
}

impl Acknowledged {
    /// Puts one object after the other until there is nobody to put them or it
    /// is over: each under a name of its own, and every third over the one before.
    fn write(&self, gateway: &str, writer: &str) {
        let mut asker = Asker::new(gateway);
        for number in 0u64.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            let name =
                if number.is_multiple_of(3) { format!("b/{writer}-again") } else { format!("b/{writer}-{number}") };
            self.names.lock().unwrap().entry(name.clone()).or_default().tried.push(number);
            match asker.put(&name, content(&name, number)) {
                Ok(()) => {
                    let last = Last { acknowledged: Some(number), tried: Vec::new() };
                    self.names.lock().unwrap().insert(name, last);
                    self.puts.fetch_add(1, Ordering::Relaxed);
                }
                Err(ClientError::NoPeer { .. } | ClientError::Cut { .. }) => return,
                // Peers die under it: what is not acknowledged is not claimed.
                Err(ClientError::Shoal(error)) => eprintln!("{name}: {error}"),
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }

    /// Has clients write at every peer until and while the blow falls.
    fn until(&self, round: usize, peers: &mut [Peer], blow: impl FnOnce(&mut [Peer])) {
        let gateways: Vec<String> = peers.iter().map(|peer| peer.gateway.clone()).collect();
        let before = self.puts.load(Ordering::Relaxed);
        self.is_over.store(false, Ordering::Relaxed);
        scope(|scope| {
            let _end = End(self);
            for (at, gateway) in gateways.iter().enumerate() {
                scope.spawn(move || self.write(gateway, &format!("{round}-{at}")));
            }
            wait("puts to be acknowledged", || {
                (self.puts.load(Ordering::Relaxed) >= before + ACKNOWLEDGED).then_some(())
            });
            blow(peers);
        });
        eprintln!("round {round}: {} puts acknowledged", self.puts.load(Ordering::Relaxed) - before);
    }

    /// Holds that a peer has all of it.
    fn check(&self, peer: &Peer) {
        let mut asker = Asker::new(&peer.gateway);
        for (name, last) in self.names.lock().unwrap().iter() {
            let Some(acknowledged) = last.acknowledged else { continue };
            // With two disks lost all three who are left have to answer, in time.
            let found = wait(&format!("{} to give {name}", peer.name), || match asker.get(name) {
                Err(error) if error.may_pass() => {
                    eprintln!("{}: {name}: {error}", peer.name);
                    None
                }
                found => Some(found),
            });
            let found = found.unwrap_or_else(|error| panic!("{}: {name}: {error}", peer.name));
            let mut possible = last.tried.iter().chain([&acknowledged]);
            let is_one = possible.any(|number| found == content(name, *number));
            assert!(is_one, "{}: {name} is not what was put last: {} bytes", peer.name, found.len());
        }
    }
}

/// The writers stop, also when the test has failed.
struct End<'a>(&'a Acknowledged);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}

/// The bytes that are put as this number under a name.
fn content(name: &str, number: u64) -> Bytes {
    let length = if number.is_multiple_of(2) { SMALL } else { LARGE };
    let mut bytes = BytesMut::with_capacity(length + 64);
    let mut hash = blake3::hash(format!("{name} {number}").as_bytes());
    while bytes.len() < length {
        bytes.extend_from_slice(hash.as_bytes());
        hash = blake3::hash(hash.as_bytes());
    }
    bytes.truncate(length);
    bytes.freeze()
}

/// One client of one peer.
struct Asker {
    runtime: Runtime,
    client: Client,
}

impl Asker {
    fn new(gateway: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        Self { runtime, client: Client::new(gateway).unwrap() }
    }

    fn put(&mut self, name: &str, content: Bytes) -> Result<(), ClientError> {
        let name = ObjectName::new(name).unwrap();
        let body = stream::iter([Ok(content)]);
        let put = self.client.put(&name, Some(Format::Bytes), &PutCondition::Always, body);
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, put).await }).unwrap().map(drop)
    }

    fn get(&mut self, name: &str) -> Result<Bytes, ClientError> {
        let name = ObjectName::new(name).unwrap();
        let get = async {
            let mut download = self.client.get(&name).await?;
            let mut bytes = BytesMut::new();
            while let Some(piece) = download.next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        };
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, get).await }).unwrap()
    }
}

/// kill -9 of all of them, in one moment.
fn kill_at_once(peers: &mut [Peer]) {
    let pids: Vec<String> = peers.iter().map(|peer| peer.pid().to_string()).collect();
    assert!(Command::new("kill").arg("-9").args(pids).status().unwrap().success());
    peers.iter_mut().for_each(Peer::kill);
}

#[test]
fn what_was_acknowledged_survives_kill_nine_of_all_peers_at_once_again_and_again() {
    const { assert!(SMALL <= Manifest::INLINE_BYTES_MAX && LARGE > Manifest::INLINE_BYTES_MAX) };
    let mut mesh = Mesh::of(5);
    let acknowledged = Acknowledged::default();
    for round in 0..3 {
        acknowledged.until(round, &mut mesh.peers, kill_at_once);
        for at in 0..mesh.peers.len() {
            mesh.restart(at);
        }
        mesh.settle();
        acknowledged.check(&mesh.peers[round]);
    }
    mesh.peers.iter().for_each(|peer| acknowledged.check(peer));
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_any_two_of_five_disks() {
    // Over so many objects every pair of peers is hit, whichever two these are.
    for lost in [[0, 1], [2, 4]] {
        let mut mesh = Mesh::of(5);
        let acknowledged = Acknowledged::default();
        acknowledged.until(0, &mut mesh.peers, |peers| {
            for at in lost {
                peers[at].kill();
                std::fs::remove_dir_all(&peers[at].dir).unwrap();
            }
            // At once, from each of the others, while they are written to.
            for (_, peer) in peers.iter().enumerate().filter(|(at, _)| !lost.contains(at)) {
                acknowledged.check(peer);
            }
        });
        for (_, peer) in mesh.peers.iter().enumerate().filter(|(at, _)| !lost.contains(at)) {
            acknowledged.check(peer);
        }
    }
}

#[test]
fn what_is_written_past_the_page_cache_survives_kill_nine_of_all_peers_too() {
    let mut mesh = Mesh::with(3, &["--direct-io"]);
    // The last few bytes of a chunk do not go that way, nor do small chunks.
    let objects = [5_000, 300_001, 1 << 20, 9_000_123].map(|length| {
        let content: Vec<u8> =
            (0..length as u64).map(|at| ((at ^ length as u64).wrapping_mul(0x9e37_79b9) >> 17) as u8).collect();
        (mesh.file(&format!("{length}.bin"), &content), format!("b/{length}.bin"), content)
    });
    objects.iter().for_each(|(file, name, _)| _ = mesh.peers[0].ok(&["put", file, name]));
    kill_at_once(&mut mesh.peers);
    (0..3).for_each(|at| mesh.restart(at));
    mesh.settle();
    for peer in &mesh.peers {
        for (_, name, content) in &objects {
            assert!(peer.shoal(&["cat", name]).stdout == *content, "{name} at {}", peer.name);
        }
        peer.ok(&["scrub"]);
    }
}

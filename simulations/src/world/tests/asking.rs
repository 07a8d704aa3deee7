//! Peers of a small mesh that a test asks, one request after the other.

use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_runtime::{Checkup, CheckupUpdate, Peer, PutCondition};
use shoal_types::{BucketChange, Format, ObjectName, Result, RoleChange};

use super::*;
use crate::executor::Idle;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// So many chunks.
pub(super) const CHUNKS: usize = 5;

pub(super) struct Mesh {
    pub(super) world: World,
    idle: Arc<Idle>,
}

/// Runs a test on four peers with three copies of each chunk.
pub(super) fn mesh<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Mesh) -> F) {
    mesh_of(4, seed, test);
}

/// The same on so many peers.
pub(super) fn mesh_of<F: Future<Output = ()>>(peers: usize, seed: u64, test: impl FnOnce(Mesh) -> F) {
    mesh_with(peers, |_| {}, seed, test);
}

/// The same with another configuration.
pub(super) fn mesh_with<F: Future<Output = ()>>(
    peers: usize,
    configure: impl FnOnce(&mut WorldConfig),
    seed: u64,
    test: impl FnOnce(Mesh) -> F,
) {
    let mut config = config();
    config.timing.grace = GRACE;
    configure(&mut config);
    let world = move || {
        let world = World::build(seed, config, NetworkConfig::default(), specs(peers));
        world.form().unwrap();
        for host in world.hosts() {
            world.start(host);
        }
        world
    };
    mesh_in(world, async move |mesh| {
        mesh.pass(5 * SECOND).await;
        test(mesh).await;
    });
}

/// Runs a test on the peers of a world.
pub(super) fn mesh_in(world: impl FnOnce() -> World, test: impl AsyncFnOnce(Mesh)) {
    executor::run(async move |idle| {
        let world = world();
        test(Mesh { world: world.clone(), idle: idle.clone() }).await;
        world.clear();
        idle.reached().await;
    })
    .unwrap();
}

pub(super) fn name(name: &str) -> ObjectName {
    name.parse().unwrap()
}

/// Another chunk for each `n`.
pub(super) fn piece(byte: u8, n: usize) -> Bytes {
    let mut piece = vec![byte; 4096];
    piece[0] = n as u8;
    Bytes::from(piece)
}

pub(super) fn content(byte: u8) -> Bytes {
    (0..CHUNKS).map(|n| piece(byte, n)).collect::<Vec<_>>().concat().into()
}

/// As it comes, piece by piece, so long apart.
pub(super) fn slowly(world: &World, byte: u8, apart: Duration) -> BoxStream<'static, Result<Bytes>> {
    let world = world.clone();
    stream::iter(0..CHUNKS)
        .then(move |n| {
            let world = world.clone();
            async move {
                world.sleep(apart).await;
                Ok(piece(byte, n))
            }
        })
        .boxed()
}

impl Mesh {
    pub(super) async fn pass(&self, time: Duration) {
        self.world.run_until(&self.idle, self.world.now() + time).await;
        assert!(self.world.state().broken.is_empty(), "{:?}", self.world.state().broken[0].0);
    }

    pub(super) fn peer(&self, host: u32) -> Peer {
        self.running(host).unwrap()
    }

    /// The peer on a host, if there is one.
    pub(super) fn running(&self, host: u32) -> Option<Peer> {
        self.world.state().hosts[host as usize].running.as_ref()?.peer.clone()
    }

    pub(super) async fn ask<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let mut answer = tokio::spawn(task);
        loop {
            self.pass(SECOND / 100).await;
            if let Some(done) = futures::FutureExt::now_or_never(&mut answer) {
                return done.unwrap();
            }
        }
    }

    pub(super) async fn put(&self, host: u32, object: &str, byte: u8) {
        self.put_bytes(host, object, content(byte), PutCondition::Always).await.unwrap();
    }

    pub(super) async fn put_bytes(&self, host: u32, object: &str, bytes: Bytes, condition: PutCondition) -> Result<()> {
        let (peer, object) = (self.peer(host), name(object));
        let body = stream::iter([Ok(bytes)]).boxed();
        self.ask(async move { peer.put(object, Format::Bytes, condition, body).await.map(drop) }).await
    }

    /// Has a bucket keep so many copies, of which a put waits for so many; for all when 0.
    pub(super) async fn keep(&self, bucket: &str, copies: u8, synced: u8) {
        let (peer, bucket) = (self.peer(0), bucket.parse().unwrap());
        let change = BucketChange { replicas: Some(copies), write_copies: Some(synced), ..BucketChange::default() };
        self.ask(async move { peer.change_bucket(bucket, change).await }).await.unwrap();
    }

    /// Has the peer on a host take another part.
    pub(super) async fn give_role(&self, host: u32, change: RoleChange) {
        let peer = self.peer(host);
        self.ask(async move { peer.change_role(peer.id(), change).await }).await.unwrap();
    }

    pub(super) async fn remove(&self, host: u32, object: &str) {
        let (peer, object) = (self.peer(host), name(object));
        assert!(self.ask(async move { peer.remove(object, PutCondition::Always).await }).await.unwrap());
    }

    pub(super) async fn get(&self, host: u32, object: &str) -> Result<Bytes> {
        let (peer, object) = (self.peer(host), name(object));
        self.ask(async move {
            let (_, body) = peer.get(object, None).await?;
            let whole: BytesMut = body.try_collect().await?;
            Ok(whole.freeze())
        })
        .await
    }

    pub(super) async fn length(&self, host: u32, object: &str) -> Result<usize> {
        self.get(host, object).await.map(|bytes| bytes.len())
    }

    /// What a look at the whole mesh from a host comes to.
    pub(super) async fn checkup(&self, host: u32, is_quick: bool) -> Checkup {
        let peer = self.peer(host);
        self.ask(async move {
            let mut updates = peer.checkup(is_quick);
            while let Some(update) = updates.next().await {
                if let CheckupUpdate::Report(report) = update.unwrap() {
                    return *report;
                }
            }
            panic!("it ends without a report")
        })
        .await
    }

    /// Copies of chunks on all disks.
    pub(super) fn copies(&self) -> usize {
        let hosts = self.world.hosts();
        let state = self.world.state();
        hosts.into_iter().map(|host| state.ledger.copies.on(host)).sum()
    }
}

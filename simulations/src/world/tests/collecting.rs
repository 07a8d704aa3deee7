//! What nothing lists any more goes, and nothing else does.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use shoal_runtime::{Peer, PutCondition};
use shoal_types::{Format, ObjectName, Result};

use super::*;
use crate::executor::Idle;

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(20);

/// So many chunks.
const CHUNKS: usize = 5;

struct Mesh {
    world: World,
    idle: Arc<Idle>,
}

/// Runs a test on four peers with three copies of each chunk.
fn mesh<F: Future<Output = ()>>(seed: u64, test: impl FnOnce(Mesh) -> F) {
    executor::run(async move |idle| {
        let mut config = config();
        config.timing.grace = GRACE;
        let world = World::build(seed, config, NetworkConfig::default(), specs(4));
        world.form().unwrap();
        for host in world.hosts() {
            world.start(host);
        }
        let mesh = Mesh { world: world.clone(), idle: idle.clone() };
        mesh.pass(5 * SECOND).await;
        test(mesh).await;
        world.clear();
        idle.reached().await;
    })
    .unwrap();
}

fn name(name: &str) -> ObjectName {
    name.parse().unwrap()
}

/// Another chunk for each `n`.
fn piece(byte: u8, n: usize) -> Bytes {
    let mut piece = vec![byte; 4096];
    piece[0] = n as u8;
    Bytes::from(piece)
}

fn content(byte: u8) -> Bytes {
    (0..CHUNKS).map(|n| piece(byte, n)).collect::<Vec<_>>().concat().into()
}

/// As it comes, piece by piece, so long apart.
fn slowly(world: &World, byte: u8, apart: Duration) -> BoxStream<'static, Result<Bytes>> {
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
    async fn pass(&self, time: Duration) {
        self.world.run_until(&self.idle, self.world.now() + time).await;
        assert!(self.world.state().broken.is_empty(), "{:?}", self.world.state().broken[0].0);
    }

    fn peer(&self, host: u32) -> Peer {
        self.world.state().hosts[host as usize].running.as_ref().unwrap().peer.clone().unwrap()
    }

    async fn ask<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let mut answer = tokio::spawn(task);
        loop {
            self.pass(SECOND / 100).await;
            if let Some(done) = futures::FutureExt::now_or_never(&mut answer) {
                return done.unwrap();
            }
        }
    }

    async fn put(&self, host: u32, object: &str, byte: u8) {
        let (peer, object) = (self.peer(host), name(object));
        let body = stream::iter([Ok(content(byte))]).boxed();
        self.ask(async move { peer.put(object, Format::Bytes, PutCondition::Always, body).await }).await.unwrap();
    }

    async fn remove(&self, host: u32, object: &str) {
        let (peer, object) = (self.peer(host), name(object));
        assert!(self.ask(async move { peer.remove(object).await }).await.unwrap());
    }

    async fn length(&self, host: u32, object: &str) -> Result<usize> {
        let (peer, object) = (self.peer(host), name(object));
        self.ask(async move {
            let (_, body) = peer.get(object, None).await?;
            body.try_fold(0, async |sum, piece| Ok(sum + piece.len())).await
        })
        .await
    }

    /// Copies of chunks on all disks.
    fn copies(&self) -> usize {
        let hosts = self.world.hosts();
        let state = self.world.state();
        hosts.into_iter().map(|host| state.ledger.copies.on(host)).sum()
    }
}

#[test]
fn chunks_of_what_was_removed_or_replaced_go_after_the_grace_and_others_stay() {
    mesh(1, |mesh| async move {
        mesh.put(0, "b/stays", 1).await;
        mesh.put(1, "b/goes", 2).await;
        mesh.put(2, "b/changes", 3).await;
        let each = mesh.copies() / 3;
        assert_eq!(each * 3, mesh.copies());
        mesh.put(3, "b/changes", 4).await;
        mesh.remove(0, "b/goes").await;
        mesh.pass(GRACE * 3 / 4).await;
        assert_eq!(mesh.copies(), 4 * each, "nothing goes before the grace is over");
        mesh.pass(2 * GRACE).await;
        assert_eq!(mesh.copies(), 2 * each);
        for object in ["b/stays", "b/changes"] {
            assert_eq!(mesh.length(2, object).await.unwrap(), content(0).len(), "{object}");
        }
        // And what goes can come again.
        mesh.put(1, "b/again", 2).await;
        mesh.pass(3 * GRACE).await;
        assert_eq!((mesh.copies(), mesh.length(0, "b/again").await.unwrap()), (3 * each, content(0).len()));
    });
}

#[test]
fn a_copy_keeps_the_chunks_of_a_source_that_goes() {
    mesh(2, |mesh| async move {
        mesh.put(0, "b/source", 1).await;
        let copies = mesh.copies();
        let peer = mesh.peer(1);
        mesh.ask(async move { peer.copy(name("b/source"), name("b/copy"), None, PutCondition::Always).await })
            .await
            .unwrap();
        mesh.remove(2, "b/source").await;
        mesh.pass(4 * GRACE).await;
        assert_eq!((mesh.copies(), mesh.length(3, "b/copy").await.unwrap()), (copies, content(0).len()));
        mesh.remove(2, "b/copy").await;
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.copies(), 0);
    });
}

#[test]
fn a_put_may_take_longer_than_the_grace() {
    mesh(3, |mesh| async move {
        let (peer, body) = (mesh.peer(0), slowly(&mesh.world, 1, GRACE));
        mesh.ask(async move { peer.put(name("b/slow"), Format::Bytes, PutCondition::Always, body).await })
            .await
            .unwrap();
        mesh.pass(3 * GRACE).await;
        assert_eq!(mesh.length(1, "b/slow").await.unwrap(), 4096 * CHUNKS);
    });
}

#[test]
fn a_put_goes_on_while_a_member_is_let_go_of() {
    mesh(6, |mesh| async move {
        let (peer, body) = (mesh.peer(0), slowly(&mesh.world, 1, GRACE));
        let put = tokio::spawn(async move {
            peer.put(name("b/slow"), Format::Bytes, PutCondition::Always, body).await.map(|_| ())
        });
        mesh.pass(2 * SECOND).await;
        mesh.world.crash(HostId(3), crate::host::Death::Kill);
        mesh.ask(put).await.unwrap().unwrap();
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 3, "the put outlasts the delay of a repair");
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.length(1, "b/slow").await.unwrap(), 4096 * CHUNKS);
    });
}

#[test]
fn a_reader_has_all_of_what_is_removed_while_it_reads() {
    mesh(4, |mesh| async move {
        mesh.put(0, "b/read", 1).await;
        let (peer, world) = (mesh.peer(1), mesh.world.clone());
        let reading = mesh.ask(async move { peer.get(name("b/read"), None).await }).await.unwrap().1;
        let slow = reading.and_then(move |piece| {
            let world = world.clone();
            async move {
                world.sleep(GRACE).await;
                Ok(piece)
            }
        });
        mesh.remove(2, "b/read").await;
        let read = mesh.ask(slow.try_fold(0, async |sum, piece| Ok(sum + piece.len()))).await.unwrap();
        assert_eq!(read, content(0).len());
        mesh.pass(4 * GRACE).await;
        assert_eq!(mesh.copies(), 0);
    });
}

#[test]
fn nothing_goes_while_a_member_is_away_and_cannot_say_what_it_knows() {
    mesh(5, |mesh| async move {
        mesh.put(0, "b/goes", 1).await;
        let copies = mesh.copies();
        mesh.remove(0, "b/goes").await;
        mesh.world.crash(HostId(3), crate::host::Death::Kill);
        mesh.pass(2 * GRACE).await;
        assert!(mesh.copies() >= copies, "{} of {copies}", mesh.copies());
    });
}

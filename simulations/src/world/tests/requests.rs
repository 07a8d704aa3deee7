//! What is asked for twice, or by two at a time, is made once.

use bytes::Bytes;
use futures::{StreamExt, stream};
use shoal_runtime::{CopyVersion, PutCondition};
use shoal_types::{AppendId, BucketChange, Error, Etag, Manifest, Result};

use super::asking::{GRACE, Mesh, SECOND, mesh, name};
use super::*;

const SOURCE: &str = "b/source";
const COPY: &str = "b/copy";

/// What fits into a manifest.
fn small(byte: u8) -> Bytes {
    vec![byte; 100].into()
}

fn etag(byte: u8) -> String {
    blake3::hash(&small(byte)).to_hex().to_string()
}

impl Mesh {
    async fn put_small(&self, host: u32, object: &str, byte: u8) {
        self.put_bytes(host, object, small(byte), PutCondition::Always).await.unwrap();
    }

    /// Begins to put an object, and does not wait.
    fn begin(&self, host: u32, byte: u8, condition: PutCondition) -> tokio::task::JoinHandle<Result<()>> {
        let (peer, body) = (self.peer(host), stream::iter([Ok(small(byte))]).boxed());
        tokio::spawn(async move { peer.put(name(SOURCE), None, condition, body).await.map(drop) })
    }

    async fn copy(&self, version: CopyVersion, id: AppendId) -> Result<Manifest> {
        let (peer, terms) = (self.peer(1), PutCondition::IfAbsent.asked_as(id));
        self.ask(async move { peer.copy(name(SOURCE), name(COPY), version, terms).await }).await
    }
}

/// It was refused for the sake of its source, though it was made: a move whose
/// answer was lost was told that there is nothing to move.
#[test]
fn a_copy_that_is_asked_for_again_was_made_whatever_its_source_has_become() {
    let versions = [CopyVersion::Now, CopyVersion::NowIf(Etag(etag(1))), CopyVersion::Of(etag(1))];
    for (version, is_removed) in versions.into_iter().flat_map(|version| [(version.clone(), true), (version, false)]) {
        mesh(21, |mesh| async move {
            mesh.put_small(0, SOURCE, 1).await;
            let id = AppendId::from_bytes([7; 16]);
            let made = mesh.copy(version.clone(), id).await.unwrap();
            match is_removed {
                true => mesh.remove(2, SOURCE).await,
                false => mesh.put_small(2, SOURCE, 2).await,
            }
            assert_eq!(mesh.copy(version.clone(), id).await, Ok(made), "{version:?}, removed: {is_removed}");
            assert_eq!(mesh.get(3, COPY).await, Ok(small(1)));
            let another = mesh.copy(version, AppendId::from_bytes([8; 16])).await;
            assert!(matches!(another, Err(Error::Conflict { .. } | Error::NotFound { .. })), "{another:?}");
        });
    }
}

/// Of two with the same bytes in the same millisecond each took the other's
/// value for its own.
#[test]
fn of_two_that_put_the_same_where_nothing_is_only_one_is_told_that_it_did() {
    for seed in 0..8 {
        mesh(seed, |mesh| async move {
            for _ in 0..8 {
                let puts = [0, 1].map(|host| mesh.begin(host, 1, PutCondition::IfAbsent));
                mesh.pass(10 * SECOND).await;
                let [first, second] = puts.map(|put| futures::FutureExt::now_or_never(put).unwrap().unwrap());
                assert!(first.is_err() || second.is_err(), "seed {seed}");
                assert_eq!(mesh.get(2, SOURCE).await, Ok(small(1)));
                mesh.remove(2, SOURCE).await;
            }
        });
    }
}

/// It went by settings that it had read before, however long ago: what others
/// had put meanwhile, in a bucket with a history by then, was gone.
#[test]
fn a_put_that_took_long_replaces_nothing_that_a_history_is_to_have() {
    let made = std::rc::Rc::new(std::cell::Cell::new(0));
    for (ms, seconds) in (0..12).flat_map(|ms| [(ms, 8), (ms, 13)]) {
        let made = made.clone();
        mesh(23, |mesh| async move {
            mesh.put_small(1, SOURCE, 1).await;
            let slow = mesh.begin(1, 2, PutCondition::Always);
            mesh.pass(Duration::from_millis(ms)).await;
            mesh.world.pause(HostId(1), seconds * SECOND);
            let (peer, bucket) = (mesh.peer(0), name(SOURCE).bucket_name());
            let change = BucketChange { history_s: Some(1_000_000), ..BucketChange::default() };
            mesh.ask(async move { peer.change_bucket(bucket, change).await }).await.unwrap();
            mesh.put_small(0, SOURCE, 3).await;
            mesh.pass(10 * SECOND).await;
            let slow = futures::FutureExt::now_or_never(slow).unwrap().unwrap();
            made.set(made.get() + u32::from(slow.is_ok()));
            let peer = mesh.peer(2);
            let found = mesh.ask(async move { peer.stat_version(name(SOURCE), etag(3)).await }).await;
            assert!(found.is_ok(), "paused after {ms} ms for {seconds} s: {found:?}, {slow:?}");
        });
    }
    assert!(made.get() > 0, "a slow one is made all the same");
}

/// A machine that sleeps may have a clock that sleeps, too: it went on with
/// what others had long dealt with, and forgotten.
#[test]
fn a_put_in_the_middle_of_which_a_machine_slept_for_long_is_in_doubt() {
    let in_doubt = std::rc::Rc::new(std::cell::Cell::new(0));
    for ms in 0..20 {
        let in_doubt = in_doubt.clone();
        mesh(24, |mesh| async move {
            // How the bucket is kept is known then.
            mesh.put_small(1, COPY, 1).await;
            let put = mesh.begin(1, 1, PutCondition::Always);
            mesh.pass(Duration::from_millis(ms)).await;
            let now = mesh.world.now();
            mesh.world.state().hosts[1].clock.set(now, 2 * GRACE.as_millis() as i64, 0);
            mesh.pass(10 * SECOND).await;
            match futures::FutureExt::now_or_never(put).unwrap().unwrap() {
                // It was over by then, or not begun.
                Ok(()) | Err(Error::NoQuorum { .. }) => {}
                Err(error) if error.is_in_doubt() => in_doubt.set(in_doubt.get() + 1),
                Err(error) => panic!("{error}"),
            }
        });
    }
    assert!(in_doubt.get() > 0);
}

//! What a name stood for can be read for as long as its bucket says.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use shoal_ports::RegisterPut;
use shoal_runtime::{CopyVersion, Peer, PutCondition};
use shoal_types::{Ballot, BucketChange, Error, Etag, NameValue, PeerId, RegisterEntry, RegisterKey, Result, wire};

use super::asking::{GRACE, Mesh, SECOND, content, mesh, mesh_with, name};
use super::*;

const OBJECT: &str = "kept/object";

fn etag(byte: u8) -> String {
    blake3::hash(&content(byte)).to_hex().to_string()
}

/// What fits into a manifest.
fn small(byte: u8) -> Bytes {
    vec![byte; 100].into()
}

impl Mesh {
    async fn remember(&self, history: Duration) {
        self.ask(self.remembering(0, history)).await;
    }

    fn remembering(&self, host: u32, history: Duration) -> impl Future<Output = ()> + Send + 'static {
        let peer = self.peer(host);
        let change = BucketChange { history_s: Some(history.as_secs()), ..BucketChange::default() };
        async move {
            peer.change_bucket("kept".parse().unwrap(), change).await.unwrap();
        }
    }

    /// The length of a version.
    async fn version(&self, host: u32, byte: u8) -> Result<usize> {
        let peer = self.peer(host);
        self.ask(async move {
            let (_, body) = peer.get_version(name(OBJECT), etag(byte), None).await?;
            futures::TryStreamExt::try_fold(body, 0, async |sum, piece| Ok(sum + piece.len())).await
        })
        .await
    }

    async fn told(&self, byte: u8) -> bool {
        match self.version(1, byte).await {
            Ok(length) => length == content(byte).len(),
            Err(Error::NotFound { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Begins to put what is small, and does not wait.
    fn begin_small(&self, host: u32, byte: u8) -> tokio::task::JoinHandle<Result<()>> {
        let (peer, body) = (self.peer(host), stream::iter([Ok(small(byte))]).boxed());
        tokio::spawn(async move { peer.put(name(OBJECT), None, PutCondition::Always, body).await.map(drop) })
    }

    /// Whether a peer knows of a version of what is small.
    async fn knows_small(&self, host: u32, byte: u8) -> bool {
        let wanted = blake3::hash(&small(byte)).to_hex().to_string();
        match self.on(host, |peer| async move { peer.stat_version(name(OBJECT), wanted).await }).await {
            Ok(_) => true,
            Err(Error::NotFound { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Writes the same into a register on every disk.
    fn plant(&self, key: &RegisterKey, value: &Bytes) {
        let at = Ballot { counter: (1 << 32) + 1, proposer: PeerId::from_bytes([1; 32]) };
        let entry = RegisterEntry { key: key.clone(), promised: at, accepted: at, value: Some(value.clone()) };
        let store = |host: HostId| self.world.state().hosts[host.index()].running.as_ref().unwrap().store.clone();
        for store in self.world.hosts().into_iter().map(store) {
            store.register_put(&[RegisterPut::from(entry.clone())]).unwrap();
        }
    }

    async fn on<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        host: u32,
        ask: impl FnOnce(Peer) -> F,
    ) -> T {
        self.ask(ask(self.peer(host))).await
    }
}

#[test]
fn what_was_replaced_and_removed_is_read_for_as_long_as_the_history_goes_back_and_then_goes_with_its_chunks() {
    mesh(11, |mesh| async move {
        mesh.remember(6 * GRACE).await;
        for byte in 1..=3 {
            mesh.put(u32::from(byte), OBJECT, byte).await;
            mesh.pass(SECOND).await;
        }
        mesh.remove(0, OBJECT).await;
        assert!(matches!(mesh.length(1, OBJECT).await, Err(Error::NotFound { .. })));
        mesh.pass(3 * GRACE).await;
        for byte in 1..=3 {
            assert!(mesh.told(byte).await, "version {byte}");
        }
        let copies = mesh.copies();
        // One comes back, and is none of the history any more.
        let condition = PutCondition::IfAbsent;
        mesh.on(
            2,
            |peer| async move { peer.copy(name(OBJECT), name(OBJECT), CopyVersion::Of(etag(2)), condition).await },
        )
        .await
        .unwrap();
        assert_eq!(mesh.length(3, OBJECT).await.unwrap(), content(2).len());
        mesh.pass(8 * GRACE).await;
        for (byte, is_there) in [(1, false), (2, true), (3, false)] {
            assert_eq!(mesh.told(byte).await, is_there, "version {byte}");
        }
        assert_eq!(mesh.copies() * 3, copies, "the chunks of two went");
        assert_eq!(mesh.length(3, OBJECT).await.unwrap(), content(2).len());
    });
}

#[test]
fn a_history_that_is_taken_away_goes_and_before_there_was_one_nothing_was_kept() {
    mesh(12, |mesh| async move {
        mesh.put(0, OBJECT, 1).await;
        mesh.put(0, OBJECT, 2).await;
        assert!(!mesh.told(1).await);
        mesh.remember(1_000 * GRACE).await;
        mesh.put(3, OBJECT, 3).await;
        assert!(mesh.told(2).await, "what there was is the first of the history");
        mesh.remember(Duration::ZERO).await;
        mesh.pass(GRACE).await;
        assert!(!mesh.told(2).await && mesh.told(3).await);
    });
}

#[test]
fn a_purge_takes_the_history_with_it() {
    mesh(13, |mesh| async move {
        mesh.remember(1_000 * GRACE).await;
        for byte in 1..=3 {
            mesh.put(0, OBJECT, byte).await;
        }
        mesh.put(0, "kept/object-2", 4).await;
        mesh.put(0, "kept/object-2", 5).await;
        let one = mesh.on(1, |peer| async move { peer.purge_version(name(OBJECT), etag(1)).await }).await;
        assert_eq!(one.unwrap(), 1);
        assert!(!mesh.told(1).await && mesh.told(2).await);
        assert_eq!(mesh.on(2, |peer| async move { peer.purge(name(OBJECT)).await }).await.unwrap(), 2);
        for byte in 1..=3 {
            assert!(!mesh.told(byte).await);
        }
        let (left, _) = mesh.on(3, |peer| async move { peer.versions(String::new(), None, 10).await }).await.unwrap();
        let names: Vec<&str> = left.iter().map(|version| version.name.as_str()).collect();
        assert_eq!(names, ["kept/object-2"], "of another name nothing goes");
    });
}

#[test]
fn of_several_versions_that_an_etag_may_mean_none_is_guessed() {
    mesh(14, |mesh| async move {
        mesh.remember(1_000 * GRACE).await;
        for byte in 1..=20 {
            mesh.put(0, OBJECT, byte).await;
        }
        let find = async |wanted: String| {
            mesh.on(1, |peer| async move { peer.stat_version(name(OBJECT), wanted).await }).await
        };
        let digits: Vec<String> = (1..=20).map(|byte| etag(byte)[..1].to_owned()).collect();
        let twice = digits.iter().find(|one| digits.iter().filter(|other| other == one).count() > 1).unwrap();
        assert!(matches!(find(twice.clone()).await, Err(Error::Invalid { .. })));
        assert_eq!(find(etag(7)[..12].to_owned()).await.unwrap().etag, Etag(etag(7)));
        assert!(matches!(find(String::new()).await, Err(Error::NotFound { .. })));
    });
}

/// Who raised a history that another was giving the bucket was answered as if
/// there had been one for long: what was put then could be replaced without it.
#[test]
fn whoever_finds_a_history_that_may_just_have_begun_waits_as_long_as_who_gives_it() {
    let history = 1_000 * GRACE;
    for (ms, wanted) in [(50, history), (50, 2 * history), (3_000, history / 2)] {
        mesh(15, |mesh| async move {
            let giving = tokio::spawn(mesh.remembering(0, history));
            mesh.pass(Duration::from_millis(ms)).await;
            let (began, name) = (mesh.world.now(), super::config().timing.name);
            mesh.ask(mesh.remembering(2, wanted)).await;
            let took = mesh.world.now() - began;
            assert!(took > name + 5 * SECOND, "{wanted:?} after {ms} ms took {took:?}");
            giving.await.unwrap();
        });
    }
}

/// It had put what it replaced into the history, slept, and went on: by then
/// the time of what it replaced was over, as if it had been replaced long ago.
#[test]
fn what_a_machine_replaces_that_slept_is_in_the_history_from_then_on() {
    let asleep = std::rc::Rc::new(std::cell::Cell::new(0));
    for ms in 0..25 {
        let asleep = asleep.clone();
        let configure = |config: &mut WorldConfig| config.timing.grace = 10 * GRACE;
        mesh_with(4, configure, 16, |mesh| async move {
            let (history, sleep) = (80 * SECOND, 90 * SECOND);
            mesh.remember(history).await;
            mesh.put_bytes(1, OBJECT, small(1), PutCondition::Always).await.unwrap();
            let put = mesh.begin_small(1, 2);
            mesh.pass(Duration::from_millis(ms)).await;
            if put.is_finished() {
                return;
            }
            asleep.set(asleep.get() + 1);
            let now = mesh.world.now();
            for host in &mut mesh.world.state().hosts {
                host.clock.set(now, sleep.as_millis() as i64, 0);
            }
            mesh.pass(history - 20 * SECOND).await;
            let put = put.now_or_never().unwrap().unwrap();
            assert!(mesh.knows_small(2, 1).await, "slept after {ms} ms: {put:?}");
        });
    }
    assert!(asleep.get() > 3);
}

/// Who was about to replace what a purge had removed meanwhile put it into the
/// history: there it was again, for as long as the history goes back.
#[test]
fn what_a_purge_has_removed_is_not_put_into_the_history_by_who_read_it_before() {
    let made = std::rc::Rc::new(std::cell::Cell::new(0));
    for ms in 0..25 {
        let made = made.clone();
        mesh(17, |mesh| async move {
            mesh.remember(1_000 * GRACE).await;
            mesh.put_bytes(1, OBJECT, small(1), PutCondition::Always).await.unwrap();
            let put = mesh.begin_small(1, 2);
            mesh.pass(Duration::from_millis(ms)).await;
            mesh.world.pause(HostId(1), 6 * SECOND);
            let began = mesh.world.now();
            let purged = mesh.on(2, |peer| async move { peer.purge(name(OBJECT)).await }).await;
            assert!(mesh.world.now() < began + 6 * SECOND && purged.is_ok(), "{purged:?}");
            mesh.pass(20 * SECOND).await;
            let put = put.now_or_never().unwrap().unwrap();
            made.set(made.get() + u32::from(put.is_ok()));
            assert!(!mesh.knows_small(3, 1).await, "paused after {ms} ms: {put:?}");
        });
    }
    assert!(made.get() > 0, "a slow one is made all the same");
}

/// Its time may be over there, if somebody was about to replace it long ago.
#[test]
fn what_was_removed_from_the_history_while_its_name_stood_for_it_is_there_once_it_is_replaced() {
    mesh(19, |mesh| async move {
        mesh.remember(1_000 * GRACE).await;
        mesh.put(0, OBJECT, 1).await;
        mesh.pass(SECOND).await;
        let store = mesh.world.state().hosts[0].running.as_ref().unwrap().store.clone();
        let entry = store.register_get(&RegisterKey::Object(name(OBJECT))).unwrap().unwrap();
        let hash = blake3::hash(&entry.value.unwrap());
        let number = u64::from_be_bytes(*hash.as_bytes().first_chunk().unwrap());
        let removed = wire::encode(&NameValue::Removed { nonce: 7 }).unwrap();
        mesh.plant(&RegisterKey::Version(name(OBJECT), number), &removed);
        mesh.put(2, OBJECT, 2).await;
        assert!(mesh.told(1).await && mesh.told(2).await);
    });
}

/// A value that does not read, or settings that nobody could tell, ended each
/// look at the same place: what came behind it stayed for ever.
#[test]
fn former_versions_go_whatever_comes_before_them() {
    mesh(18, |mesh| async move {
        mesh.remember(3 * GRACE).await;
        mesh.put(0, OBJECT, 1).await;
        let manifest = mesh.on(0, |peer| async move { peer.stat(name(OBJECT)).await }).await.unwrap();
        mesh.put(0, OBJECT, 2).await;
        let odd = Bytes::from_static(&[0xff; 9]);
        let former = wire::encode(&NameValue::Former { manifest, replaced_ms: 1 }).unwrap();
        mesh.plant(&RegisterKey::Version(name("early/odd"), 1), &odd);
        mesh.plant(&RegisterKey::Bucket("early".parse().unwrap()), &odd);
        mesh.plant(&RegisterKey::Version(name("early/object"), 1), &former);
        assert!(mesh.told(1).await);
        mesh.pass(4 * GRACE).await;
        assert!(!mesh.told(1).await && mesh.told(2).await);
    });
}

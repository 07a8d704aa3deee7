//! Two meshes with one secret that formed apart, and then meet.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{TryStreamExt, stream};
use shoal_runtime::{Peer, PutCondition};
use shoal_types::{Format, MeshId, ObjectName, Result};

use super::*;
use crate::executor::Idle;

const SECOND: Duration = Duration::from_secs(1);

struct Meeting {
    world: World,
    idle: Arc<Idle>,
    /// Hosts of the first mesh; the others are of the second.
    first: u32,
}

/// Runs a test on two meshes of so many peers. Of `late` hosts nobody has started.
fn meeting<F: Future<Output = ()>>(seed: u64, sizes: [u32; 2], late: u32, test: impl FnOnce(Meeting) -> F) {
    executor::run(async move |idle| {
        let [first, second] = sizes;
        let specs = specs((first + second + late) as usize);
        let world = World::build(seed, config(), NetworkConfig::default(), specs);
        for host in first..first + second {
            let of_second = &mut world.state().hosts[host as usize];
            of_second.forms = host == first;
            of_second.join = if host == first { vec![] } else { vec![HostId(first)] };
        }
        for host in (0..first + second).map(HostId) {
            world.start(host);
        }
        let meeting = Meeting { world: world.clone(), idle: idle.clone(), first };
        let is_formed = |meeting: &Meeting| {
            (0..first).all(|host| meeting.members(host) == Some(first as usize))
                && (first..first + second).all(|host| meeting.members(host) == Some(second as usize))
        };
        meeting.until("two meshes have formed", is_formed).await;
        test(meeting).await;
        world.clear();
        idle.reached().await;
    })
    .unwrap();
}

impl Meeting {
    async fn pass(&self, time: Duration) {
        self.world.run_until(&self.idle, self.world.now() + time).await;
        assert!(self.world.state().broken.is_empty(), "{:?}", self.world.state().broken[0].0);
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = self.world.now();
        while !holds(self) {
            assert!(self.world.now() < began + 90 * SECOND, "in vain: {what}\n{}", self.views());
            self.pass(SECOND / 10).await;
        }
    }

    /// What everyone's layout is.
    fn views(&self) -> String {
        let view = |(host, peer): (HostId, Peer)| match peer.layout() {
            Some(layout) => {
                let members = layout.members.iter().map(|member| member.name.as_str());
                let (mesh, joint) = (layout.mesh.short(), if layout.is_joint() { ", joint" } else { "" });
                format!(
                    "{host}: mesh {mesh}, version {}{joint}, {}",
                    layout.version,
                    members.collect::<Vec<_>>().join(" ")
                )
            }
            None => format!("{host}: no mesh"),
        };
        self.world.peers().into_iter().map(view).collect::<Vec<_>>().join("\n")
    }

    fn peer(&self, host: u32) -> Option<Peer> {
        self.world.state().hosts[host as usize].running.as_ref()?.peer.clone()
    }

    /// Of the layout that a host has settled on.
    fn members(&self, host: u32) -> Option<usize> {
        let layout = self.peer(host)?.layout()?;
        (!layout.is_joint()).then_some(layout.members.len())
    }

    /// The last peer of the second mesh finds the first of the first one.
    fn meet(&self, last: u32) {
        self.world.state().hosts[last as usize].known.insert(HostId(0));
        self.world.dial(HostId(last), HostId(0));
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

    async fn put(&self, at: u32, name: &str) -> Result<()> {
        let (peer, name) = (self.peer(at).unwrap(), ObjectName::new(name).unwrap());
        self.ask(async move {
            let body = Box::pin(stream::once(std::future::ready(Ok(Bytes::from(name.to_string())))));
            peer.put(name, Format::Bytes, PutCondition::Always, body).await.map(drop)
        })
        .await
    }

    async fn get(&self, at: u32, name: &str) -> Result<Bytes> {
        let (peer, name) = (self.peer(at).unwrap(), ObjectName::new(name).unwrap());
        self.ask(async move {
            let (_, body) = peer.get(name, None).await?;
            let whole = body.try_fold(BytesMut::new(), |mut all, piece| async move {
                all.extend_from_slice(&piece);
                Ok(all)
            });
            Ok(whole.await?.freeze())
        })
        .await
    }

    async fn notices(&self, at: u32) -> Vec<String> {
        let peer = self.peer(at).unwrap();
        self.ask(async move { peer.status().await.unwrap().notices }).await
    }

    async fn holds(&self, host: u32, name: &str) -> bool {
        matches!(self.get(host, name).await, Ok(bytes) if bytes == name.as_bytes())
    }
}

#[test]
fn a_mesh_without_data_becomes_part_of_the_other_whichever_that_is() {
    for (seed, holder) in [(1, 0), (2, 0), (3, 3), (4, 3)] {
        meeting(seed, [3, 3], 0, |meeting| async move {
            meeting.put(holder, "b/kept").await.unwrap();
            let mesh = meeting.peer(holder).unwrap().layout().unwrap().mesh;
            meeting.meet(5);
            meeting.until("one mesh", |meeting| (0..6).all(|host| meeting.members(host) == Some(6))).await;
            for host in 0..6 {
                assert_eq!(meeting.peer(host).unwrap().layout().unwrap().mesh, mesh);
                assert!(meeting.holds(host, "b/kept").await);
            }
            // Whoever saw the other mesh last says so for a moment longer.
            meeting.pass(10 * SECOND).await;
            for host in 0..6 {
                assert_eq!(meeting.notices(host).await, Vec::<String>::new());
            }
        });
    }
}

#[test]
fn two_meshes_without_data_become_one() {
    for seed in 1..5 {
        meeting(seed, [2, 3], 0, |meeting| async move {
            meeting.meet(4);
            meeting.until("one mesh", |meeting| (0..5).all(|host| meeting.members(host) == Some(5))).await;
        });
    }
}

#[test]
fn two_meshes_with_data_stay_apart_and_say_what_to_do() {
    meeting(1, [2, 3], 0, |meeting| async move {
        meeting.put(0, "b/first").await.unwrap();
        meeting.put(3, "b/second").await.unwrap();
        meeting.meet(4);
        meeting.pass(60 * SECOND).await;
        for host in 0..5 {
            assert_eq!(meeting.members(host), Some(if host < meeting.first { 2 } else { 3 }));
            let notices = meeting.notices(host).await;
            assert!(notices.iter().any(|said| said.contains("stay apart; copy the data")), "{notices:?}");
        }
        meeting.put(1, "b/again").await.unwrap();
        meeting.put(2, "b/again").await.unwrap();
    });
}

/// Whatever is put at whatever moment while its mesh gives itself up, what
/// was acknowledged is there afterwards, and there is an end to it.
#[test]
fn what_is_put_while_a_mesh_gives_itself_up_is_not_lost() {
    let mut outcomes = [0; 2];
    for n in 0..40u32 {
        let outcomes = &mut outcomes;
        meeting(u64::from(n), [2, 3], 0, |meeting| async move {
            meeting.put(0, "b/kept").await.unwrap();
            meeting.meet(4);
            meeting.pass(n * SECOND / 5).await;
            let put = meeting.put(2 + n % 3, "b/late").await;
            meeting.pass(60 * SECOND).await;
            let mut found: BTreeMap<MeshId, Vec<bool>> = BTreeMap::new();
            for host in 0..5 {
                assert!(meeting.members(host).is_some(), "run {n}\n{}", meeting.views());
                let mesh = meeting.peer(host).unwrap().layout().unwrap().mesh;
                found.entry(mesh).or_default().push(meeting.holds(host, "b/late").await);
            }
            outcomes[usize::from(found.len() == 1)] += 1;
            for held in found.values() {
                assert!(held.iter().all(|here| *here == held[0]), "run {n}\n{}", meeting.views());
            }
            if put.is_ok() {
                assert!(meeting.holds(2 + n % 3, "b/late").await, "run {n}\n{}", meeting.views());
            }
        });
    }
    assert!(outcomes.iter().all(|count| *count > 3), "{outcomes:?}: both ends are to be seen");
}

#[test]
fn a_newcomer_that_two_meshes_take_in_is_of_one_and_the_other_lets_go_of_it() {
    for seed in 1..6 {
        meeting(seed, [3, 3], 1, |meeting| async move {
            meeting.put(0, "b/first").await.unwrap();
            meeting.put(3, "b/second").await.unwrap();
            {
                let host = &mut meeting.world.state().hosts[6];
                host.forms = false;
                host.join = vec![HostId(0), HostId(3)];
            }
            meeting.world.start(HostId(6));
            meeting.pass(40 * SECOND).await;
            let sizes = [0, 3].map(|host| meeting.members(host));
            assert!(sizes == [Some(4), Some(3)] || sizes == [Some(3), Some(4)], "{}", meeting.views());
            assert_eq!(meeting.members(6), Some(4));
            meeting.put(1, "b/again").await.unwrap();
            meeting.put(4, "b/again").await.unwrap();
        });
    }
}

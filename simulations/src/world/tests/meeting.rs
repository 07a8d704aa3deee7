//! Two meshes with one secret that formed apart, and then meet.

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_runtime::{Peer, PutCondition};
use shoal_types::{MeshId, Result};

use super::asking::{Mesh, SECOND, mesh_in};
use super::*;

pub(super) struct Meeting {
    pub(super) mesh: Mesh,
    /// Hosts of the first mesh; the others are of the second.
    first: u32,
}

/// Runs a test on two meshes of so many peers. Of `late` hosts nobody has started.
fn meeting<F: Future<Output = ()>>(seed: u64, sizes: [u32; 2], late: u32, test: impl FnOnce(Meeting) -> F) {
    meeting_of(seed, sizes, late, [Some(3), None], test);
}

/// The same of two meshes whose founders were told so many copies of each chunk.
pub(super) fn meeting_of<F: Future<Output = ()>>(
    seed: u64,
    sizes: [u32; 2],
    late: u32,
    replicas: [Option<u32>; 2],
    test: impl FnOnce(Meeting) -> F,
) {
    let [first, second] = sizes;
    let world = move || {
        let specs = specs((first + second + late) as usize);
        let world = World::build(seed, config(), NetworkConfig::default(), specs);
        for (host, replicas) in [0, first].into_iter().zip(replicas) {
            world.state().hosts[host as usize].replicas = replicas;
        }
        for host in first..first + second {
            let of_second = &mut world.state().hosts[host as usize];
            of_second.forms = host == first;
            of_second.join = if host == first { vec![] } else { vec![HostId(first)] };
        }
        for host in (0..first + second).map(HostId) {
            world.start(host);
        }
        world
    };
    mesh_in(world, async move |mesh| {
        let meeting = Meeting { mesh, first };
        let is_formed = |meeting: &Meeting| {
            (0..first).all(|host| meeting.members(host) == Some(first as usize))
                && (first..first + second).all(|host| meeting.members(host) == Some(second as usize))
        };
        meeting.until("two meshes have formed", is_formed).await;
        test(meeting).await;
    });
}

impl Meeting {
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let world = &self.mesh.world;
        let began = world.now();
        while !holds(self) {
            assert!(world.now() < began + 90 * SECOND, "in vain: {what}\n{}", self.views());
            self.mesh.pass(SECOND / 10).await;
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
        self.mesh.world.peers().into_iter().map(view).collect::<Vec<_>>().join("\n")
    }

    /// Of the layout that a host has settled on.
    pub(super) fn members(&self, host: u32) -> Option<usize> {
        let layout = self.mesh.running(host)?.layout()?;
        (!layout.is_joint()).then_some(layout.members.len())
    }

    /// The last peer of the second mesh finds the first of the first one.
    pub(super) fn meet(&self, last: u32) {
        let world = &self.mesh.world;
        world.state().hosts[last as usize].known.insert(HostId(0));
        world.dial(HostId(last), HostId(0));
    }

    pub(super) async fn put(&self, at: u32, name: &str) -> Result<()> {
        self.mesh.put_bytes(at, name, Bytes::from(name.to_owned()), PutCondition::Always).await
    }

    pub(super) async fn notices(&self, at: u32) -> Vec<String> {
        let peer = self.mesh.peer(at);
        self.mesh.ask(async move { peer.status().await.unwrap().notices }).await
    }

    async fn holds(&self, host: u32, name: &str) -> bool {
        matches!(self.mesh.get(host, name).await, Ok(bytes) if bytes == name.as_bytes())
    }
}

#[test]
fn a_mesh_without_data_becomes_part_of_the_other_whichever_that_is() {
    for (seed, holder) in [(1, 0), (2, 0), (3, 3), (4, 3)] {
        meeting(seed, [3, 3], 0, |meeting| async move {
            meeting.put(holder, "b/kept").await.unwrap();
            let mesh = meeting.mesh.peer(holder).layout().unwrap().mesh;
            meeting.meet(5);
            meeting.until("one mesh", |meeting| (0..6).all(|host| meeting.members(host) == Some(6))).await;
            for host in 0..6 {
                assert_eq!(meeting.mesh.peer(host).layout().unwrap().mesh, mesh);
                assert!(meeting.holds(host, "b/kept").await);
            }
            // Whoever saw the other mesh last says so for a moment longer.
            meeting.mesh.pass(10 * SECOND).await;
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
        meeting.mesh.pass(60 * SECOND).await;
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
            meeting.mesh.pass(n * SECOND / 5).await;
            let put = meeting.put(2 + n % 3, "b/late").await;
            meeting.mesh.pass(60 * SECOND).await;
            let mut found: BTreeMap<MeshId, Vec<bool>> = BTreeMap::new();
            for host in 0..5 {
                assert!(meeting.members(host).is_some(), "run {n}\n{}", meeting.views());
                let mesh = meeting.mesh.peer(host).layout().unwrap().mesh;
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
                let host = &mut meeting.mesh.world.state().hosts[6];
                host.forms = false;
                host.join = vec![HostId(0), HostId(3)];
            }
            meeting.mesh.world.start(HostId(6));
            meeting.mesh.pass(40 * SECOND).await;
            let sizes = [0, 3].map(|host| meeting.members(host));
            assert!(sizes == [Some(4), Some(3)] || sizes == [Some(3), Some(4)], "{}", meeting.views());
            assert_eq!(meeting.members(6), Some(4));
            meeting.put(1, "b/again").await.unwrap();
            meeting.put(4, "b/again").await.unwrap();
        });
    }
}

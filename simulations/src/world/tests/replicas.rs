//! How many copies there are of each chunk is the mesh's, whoever joins it.

use shoal_runtime::Stopped;
use shoal_types::{ChunkId, Error};

use super::asking::{Mesh, SECOND, content, mesh_in};
use super::meeting::meeting_of;
use super::*;

/// Runs a test on so many peers that the first of them has made a mesh of,
/// with two copies of each chunk. Of one more nobody has started.
fn mesh<F: Future<Output = ()>>(seed: u64, peers: u32, test: impl FnOnce(Mesh) -> F) {
    let world = move || {
        let config = WorldConfig { replicas: 2, ..config() };
        let world = World::build(seed, config, NetworkConfig::default(), specs(peers as usize + 1));
        for host in (0..peers).map(HostId) {
            world.start(host);
        }
        world
    };
    mesh_in(world, async move |mesh| {
        mesh.pass(20 * SECOND).await;
        assert!((0..peers).all(|host| members(&mesh, host) == peers as usize));
        test(mesh).await;
    });
}

fn members(mesh: &Mesh, host: u32) -> usize {
    let layout = mesh.running(host).and_then(|peer| peer.layout());
    layout.filter(|layout| !layout.is_joint()).map_or(0, |layout| layout.members.len())
}

#[test]
fn whoever_joins_without_a_number_has_that_of_the_mesh_and_all_agree_on_owners() {
    for seed in 1..4 {
        mesh(seed, 5, |mesh| async move {
            mesh.put(4, "b/x", 1).await;
            for host in 0..5 {
                assert_eq!(mesh.peer(host).layout().unwrap().replicas, 2);
                assert_eq!(mesh.get(host, "b/x").await.unwrap(), content(1));
            }
            for n in 0..50u8 {
                let owners = |host| mesh.peer(host).owners_of_chunk(ChunkId::of(&[n]));
                assert_eq!(owners(0).len(), 2);
                assert!((1..5).all(|host| owners(host) == owners(0)));
            }
            // The founder needs not be told again, and takes no other number for it.
            mesh.world.crash(HostId(0), crate::host::Death::Kill);
            mesh.world.state().hosts[0].replicas = None;
            mesh.world.start(HostId(0));
            mesh.pass(10 * SECOND).await;
            assert_eq!(mesh.peer(0).layout().unwrap().replicas, 2);
            assert_eq!(mesh.get(0, "b/x").await.unwrap(), content(1));
        });
    }
}

#[test]
fn a_peer_that_was_started_with_another_number_stops_and_is_never_a_member() {
    for seed in 1..4 {
        mesh(seed, 3, |mesh| async move {
            let layout = mesh.peer(0).layout().unwrap();
            mesh.world.state().hosts[3].replicas = Some(5);
            mesh.world.start(HostId(3));
            mesh.pass(SECOND / 10).await;
            let peer = mesh.peer(3);
            let stopped = mesh.ask(async move { peer.stopped().await }).await;
            let why = Error::OtherReplicas { mesh: layout.mesh, theirs: 2, wanted: 5 };
            assert_eq!(stopped, Stopped::Refused(why));
            mesh.pass(20 * SECOND).await;
            assert_eq!(mesh.peer(0).layout().unwrap(), layout);
            // With the number that the mesh has it is welcome.
            mesh.world.crash(HostId(3), crate::host::Death::Kill);
            mesh.world.state().hosts[3].replicas = Some(2);
            mesh.world.start(HostId(3));
            mesh.pass(20 * SECOND).await;
            assert_eq!(members(&mesh, 3), 4);
        });
    }
}

#[test]
fn a_mesh_without_data_takes_the_number_of_the_one_that_it_joins() {
    for (seed, holder) in [(1, 0), (2, 0), (3, 2), (4, 2)] {
        let mut replicas = [None; 2];
        replicas[holder / 2] = Some(2);
        meeting_of(seed, [2, 3], 0, replicas, |meeting| async move {
            meeting.put(holder as u32, "b/kept").await.unwrap();
            meeting.meet(4);
            meeting.until("one mesh", |meeting| (0..5).all(|host| meeting.members(host) == Some(5))).await;
            assert!((0..5).all(|host| meeting.mesh.peer(host).layout().unwrap().replicas == 2));
        });
    }
}

/// Neither has data, so that either could give itself up.
#[test]
fn of_two_meshes_the_one_goes_that_was_told_no_number_and_two_that_were_told_different_ones_stay_apart() {
    for seed in 1..5 {
        let told = [Some(2), None];
        meeting_of(seed, [2, 3], 0, told, |meeting| async move {
            meeting.meet(4);
            meeting.until("one mesh", |meeting| (0..5).all(|host| meeting.members(host) == Some(5))).await;
            assert!((0..5).all(|host| meeting.mesh.peer(host).layout().unwrap().replicas == 2));
        });
    }
    meeting_of(1, [2, 3], 0, [Some(2), Some(4)], |meeting| async move {
        meeting.meet(4);
        meeting.mesh.pass(60 * SECOND).await;
        for host in 0..5 {
            let (size, theirs, ours) = if host < 2 { (2, 4, 2) } else { (3, 2, 4) };
            assert_eq!(meeting.members(host), Some(size));
            let notices = meeting.notices(host).await;
            let numbers = format!("keeps {theirs} copies of each chunk, and this one {ours}");
            assert!(notices.iter().any(|said| said.contains(&numbers)), "{notices:?}");
        }
    });
}

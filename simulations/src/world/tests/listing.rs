//! What is listed is what is there, for whoever asks next.

use bytes::Bytes;
use shoal_runtime::PutCondition;
use shoal_types::{Error, LayoutId, RegisterKind, RegisterSpan, Request, Response, Result, wire};

use super::asking::{Mesh, SECOND, mesh_in, mesh_with, name};
use super::*;
use crate::host::Death;

/// Short against the sync of a disk and the way between two hosts.
const STEP: Duration = Duration::from_micros(20);

const NAMES: u32 = 12;

/// Runs a test on so many peers, of which three keep each name.
fn mesh<F: Future<Output = ()>>(seed: u64, peers: usize, test: impl FnOnce(Mesh) -> F) {
    mesh_with(peers, |config| config.replicas = 2, seed, test);
}

impl Mesh {
    async fn list(&self, host: u32) -> Result<usize> {
        let peer = self.peer(host);
        self.ask(async move { peer.list("b/".into(), None, 1000).await }).await.map(|(objects, _)| objects.len())
    }

    fn stale_at<const N: usize>(&self, hosts: [u32; N]) -> [usize; N] {
        hosts.map(|host| self.world.state().ledger.registers.stale(HostId(host)))
    }

    /// A removal that one of three acceptors has accepted when all of them die.
    async fn leave_a_removal_in_doubt(&self) {
        let remover = self.peer(0);
        tokio::spawn(async move { remover.remove(name("b/x"), PutCondition::Always).await });
        while self.stale_at([0, 1, 2]) != [0, 1, 1] {
            self.pass(STEP).await;
        }
        for host in 0..3 {
            self.world.crash(HostId(host), Death::Kill);
        }
        for host in 0..3 {
            self.world.start(HostId(host));
        }
        self.pass(10 * SECOND).await;
        assert_eq!(self.stale_at([0, 1, 2]), [0, 1, 1], "the remover's own acceptor has accepted it, and no other");
    }
}

// The newest value that a single acceptor had accepted was listed, and whoever
// asked the others found the name as it was before.
#[test]
fn what_was_listed_is_there_though_the_one_acceptor_that_knew_of_it_goes() {
    for seed in 1..4 {
        mesh(seed, 3, |mesh| async move {
            mesh.put_bytes(0, "b/x", Bytes::from_static(b"x"), PutCondition::Always).await.unwrap();
            mesh.leave_a_removal_in_doubt().await;
            let listed = mesh.list(1).await.unwrap();
            mesh.world.crash(HostId(0), Death::Kill);
            assert_eq!((listed, mesh.list(1).await.unwrap()), (usize::from(mesh.get(1, "b/x").await.is_ok()), listed));
        });
    }
}

// Who was cut off listed what the members of its old layout still kept, and
// who had not heard that it was taken in gave what it knew from before.
#[test]
fn a_member_lists_for_nobody_who_works_under_another_layout() {
    mesh(7, 3, |mesh| async move {
        mesh.put_bytes(0, "b/x", Bytes::from_static(b"x"), PutCondition::Always).await.unwrap();
        let (layout, asked) = (mesh.peer(0).layout().unwrap().id(), mesh.peer(1).id());
        let scan = async |version| {
            let span = RegisterSpan::under(RegisterKind::Object, "b/");
            let layout = LayoutId { version, ..layout };
            let scan = wire::encode(&Request::RegisterScan { layout, span, after: None, limit: 9 }).unwrap();
            let world = mesh.world.clone();
            let answer = mesh.ask(async move { world.call(HostId(0), HostId(1), asked, scan).await }).await.unwrap();
            wire::decode::<Result<Response>>(&answer).unwrap()
        };
        assert!(matches!(scan(layout.version).await, Ok(Response::Entries { entries, .. }) if entries.len() == 1));
        for theirs in [layout.version - 1, layout.version + 1] {
            assert_eq!(scan(theirs).await, Err(Error::StaleLayout { theirs, ours: layout.version }));
        }
    });
}

/// Longer than it takes until all have compared with all.
const COMPARED: Duration = Duration::from_secs(11 * 60);

// A newcomer was brought the names as they had been agreed upon before it was
// there, and for a listing it was as if it had none of them.
#[test]
fn newcomers_list_what_was_there_before_them_when_all_others_have_gone() {
    let world = || {
        let mut specs = specs(5);
        specs[2..].iter_mut().for_each(|spec| spec.is_late = true);
        let world = World::build(8, config(), NetworkConfig::default(), specs);
        world.form().unwrap();
        (2..5).for_each(|host| world.state().hosts[host].join = vec![HostId(0)]);
        (0..2).for_each(|host| world.start(HostId(host)));
        world
    };
    mesh_in(world, async move |mesh| {
        mesh.pass(5 * SECOND).await;
        for n in 0..NAMES {
            mesh.put_bytes(0, &format!("b/{n}"), Bytes::from_static(b"x"), PutCondition::Always).await.unwrap();
        }
        for late in 2..5 {
            mesh.world.state().hosts[late].held = 0;
            mesh.world.start(HostId(late as u32));
            mesh.pass(COMPARED).await;
        }
        for (gone, time) in [(0, 5), (1, 120), (2, 5)] {
            mesh.world.crash(HostId(gone), Death::Kill);
            mesh.pass(time * SECOND).await;
            assert_eq!(mesh.list(3).await.unwrap(), NAMES as usize, "without {gone}");
        }
    });
}

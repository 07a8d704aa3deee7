//! Who goes leaves nothing behind that others need, and who stays says what it lacks.

use shoal_runtime::PutCondition;
use shoal_types::{Error, Format, RoleChange};

use super::asking::{CHUNKS, GRACE, Mesh, SECOND, content, mesh_of, name, slowly};
use super::*;
use crate::host::Death;

const LEAVES: RoleChange = RoleChange { zone: None, weight: None, leaves: Some(true) };

async fn until(mesh: &Mesh, what: &str, holds: impl Fn(&Mesh) -> bool) {
    for _ in 0..30_000 {
        if holds(mesh) {
            return;
        }
        mesh.pass(SECOND / 100).await;
    }
    panic!("{what}: never");
}

fn is_gone(mesh: &Mesh, host: u32) -> bool {
    mesh.running(host).is_none()
}

/// Collection had looked while it was on its way, and had found nothing that listed it.
#[test]
fn who_leaves_hands_over_what_was_put_a_moment_ago() {
    for phase in 0..6 {
        mesh_of(3, 40, |mesh| async move {
            mesh.keep("scratch", 1, 0).await;
            mesh.pass(phase * SECOND).await;
            // A round falls in between, and no renewal of its lease.
            let (peer, body) = (mesh.peer(0), slowly(&mesh.world, 1, GRACE / 22));
            mesh.ask(async move { peer.put(name("scratch/x"), Format::Bytes, PutCondition::Always, body).await })
                .await
                .unwrap();
            mesh.give_role(2, LEAVES).await;
            until(&mesh, "it goes", |mesh| is_gone(mesh, 2)).await;
            assert_eq!(mesh.length(0, "scratch/x").await.unwrap(), 4096 * CHUNKS, "phase {phase}");
        });
    }
}

#[test]
fn who_was_away_when_it_was_let_go_of_hands_over_before_it_goes() {
    mesh_of(5, 50, |mesh| async move {
        mesh.keep("scratch", 1, 0).await;
        for n in 0..4 {
            mesh.put(0, &format!("scratch/{n}"), n + 1).await;
        }
        assert!(mesh.world.state().ledger.copies.on(HostId(3)) > 0);
        mesh.give_role(3, LEAVES).await;
        until(&mesh, "it is let go of", |mesh| mesh.peer(0).layout().unwrap().is_joint()).await;
        mesh.world.crash(HostId(3), Death::Kill);
        until(&mesh, "the others are settled", |mesh| !mesh.peer(0).layout().unwrap().is_joint()).await;
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 4);
        mesh.world.start(HostId(3));
        until(&mesh, "it is there again", |mesh| !is_gone(mesh, 3)).await;
        until(&mesh, "it goes", |mesh| is_gone(mesh, 3)).await;
        for n in 0..4 {
            assert_eq!(mesh.get(1, &format!("scratch/{n}")).await.unwrap(), content(n + 1));
        }
    });
}

// Started again it had no link to anybody yet, had nobody to bring anything to,
// and took that for having handed over.
#[test]
fn who_is_started_again_while_it_hands_over_hands_over_before_it_goes() {
    for seed in 51..54 {
        mesh_of(5, seed, |mesh| async move {
            mesh.keep("scratch", 1, 0).await;
            for n in 0..4 {
                mesh.put(0, &format!("scratch/{n}"), n + 1).await;
            }
            assert!(mesh.world.state().ledger.copies.on(HostId(3)) > 0);
            let id = mesh.peer(3).id();
            mesh.give_role(3, LEAVES).await;
            until(&mesh, "it is let go of", |mesh| mesh.peer(0).layout().unwrap().is_joint()).await;
            mesh.world.crash(HostId(3), Death::Kill);
            until(&mesh, "the others are settled", |mesh| !mesh.peer(0).layout().unwrap().is_joint()).await;
            mesh.world.start(HostId(3));
            let knows =
                |mesh: &Mesh| mesh.running(3).and_then(|peer| peer.layout()).is_some_and(|layout| !layout.involves(id));
            until(&mesh, "it knows that it was let go of", knows).await;
            mesh.world.crash(HostId(3), Death::Kill);
            mesh.world.start(HostId(3));
            until(&mesh, "it is there again", |mesh| !is_gone(mesh, 3)).await;
            until(&mesh, "it goes", |mesh| is_gone(mesh, 3)).await;
            for n in 0..4 {
                assert_eq!(mesh.get(1, &format!("scratch/{n}")).await.unwrap(), content(n + 1), "seed {seed}");
            }
        });
    }
}

#[test]
fn where_all_who_keep_names_are_away_the_others_neither_list_nor_settle_without_them() {
    mesh_of(5, 60, |mesh| async move {
        for host in [2, 3, 4] {
            mesh.give_role(host, RoleChange { weight: Some(0), ..RoleChange::default() }).await;
        }
        // What they knew as acceptors is swept away.
        mesh.pass(4 * GRACE).await;
        mesh.put(0, "b/x", 1).await;
        for host in [0, 1] {
            mesh.world.crash(HostId(host), Death::Kill);
        }
        mesh.pass(15 * SECOND).await;
        let peer = mesh.peer(3);
        let listed = mesh.ask(async move { peer.list(String::new(), None, 10).await }).await;
        assert!(matches!(listed, Err(Error::NoQuorum { .. })), "{listed:?}");

        // Nobody takes their place as long as nobody has what they know.
        mesh.give_role(2, RoleChange { weight: Some(100), ..RoleChange::default() }).await;
        mesh.pass(180 * SECOND).await;
        for host in [0, 1] {
            mesh.world.start(HostId(host));
        }
        mesh.pass(60 * SECOND).await;
        assert_eq!(mesh.get(4, "b/x").await.unwrap(), content(1));
    });
}

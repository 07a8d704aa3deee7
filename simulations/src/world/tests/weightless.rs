//! Who has no weight holds nothing, and counts for nothing where copies are counted.

use shoal_runtime::PutCondition;
use shoal_types::{Error, RoleChange};

use super::asking::{CHUNKS, Mesh, SECOND, content, mesh_of};
use super::*;
use crate::host::Death;

/// Leaves so many members of a mesh with weight.
async fn leave_with_weight(mesh: &Mesh, weighty: u32, members: u32) {
    for host in weighty..members {
        mesh.give_role(host, RoleChange { weight: Some(0), ..RoleChange::default() }).await;
    }
    mesh.pass(30 * SECOND).await;
    assert!(!mesh.peer(0).layout().unwrap().is_joint());
}

#[test]
fn where_one_member_has_weight_its_copy_is_all_that_is_asked_for() {
    mesh_of(4, 70, |mesh| async move {
        leave_with_weight(&mesh, 1, 4).await;
        mesh.put(2, "b/x", 1).await;
        mesh.put(0, "b/y", 2).await;
        assert_eq!(mesh.copies(), 2 * CHUNKS);
        assert_eq!(mesh.get(3, "b/x").await.unwrap(), content(1));
        // What it holds is brought to the next that is to hold something.
        mesh.give_role(1, RoleChange { weight: Some(100), ..RoleChange::default() }).await;
        mesh.pass(30 * SECOND).await;
        assert_eq!(mesh.copies(), 4 * CHUNKS);
    });
}

#[test]
fn where_two_members_have_weight_two_copies_are_asked_for_also_while_one_is_away() {
    mesh_of(5, 71, |mesh| async move {
        leave_with_weight(&mesh, 2, 5).await;
        mesh.put(4, "b/x", 1).await;
        assert_eq!(mesh.copies(), 2 * CHUNKS);
        mesh.world.crash(HostId(1), Death::Kill);
        for seconds in [0, 15] {
            mesh.pass(seconds * SECOND).await;
            let refused = mesh.put_bytes(4, "b/y", content(2), PutCondition::Always).await;
            assert!(matches!(refused, Err(Error::NoQuorum { needed: 2, .. })), "{refused:?}");
        }
        mesh.world.start(HostId(1));
        mesh.pass(15 * SECOND).await;
        mesh.put(4, "b/y", 2).await;
        assert_eq!(mesh.copies(), 4 * CHUNKS);
    });
}

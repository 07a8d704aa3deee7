//! A bucket says how many copies there are of what is in it.

use crate::disks::chunk_files;
use crate::mesh::{Mesh, wait};

/// Copies of chunks at all peers.
fn copies(mesh: &Mesh) -> usize {
    mesh.peers.iter().map(|peer| chunk_files(peer).len()).sum()
}

#[test]
fn scratch_has_one_copy_what_is_dear_has_five_and_health_is_content_with_both() {
    let mesh = Mesh::of(5);
    let file = |n: u8| mesh.file(&format!("{n}.bin"), &vec![n; 100_000]);
    let [first, second, third, ..] = &mesh.peers[..] else { panic!("five peers") };
    assert_eq!(first.json(&["bucket", "set", "scratch", "--copies", "1", "--json"])["replicas"], 1);
    first.ok(&["bucket", "set", "dear", "--copies", "5", "--synced", "2"]);
    second.ok(&["put", &file(1), "scratch/x"]);
    assert_eq!(copies(&mesh), 1);
    third.ok(&["put", &file(2), "dear/x"]);
    wait("the copies that the put did not wait for", || (copies(&mesh) == 6).then_some(()));
    first.ok(&["put", &file(3), "plain/x"]);
    assert_eq!(copies(&mesh), 9);
    let health = second.json(&["health", "--json"]);
    assert_eq!((&health["copies"], &health["copies_missing"]), (&9.into(), &0.into()), "{health}");
    // A copy for another bucket is as safe as that one wants it.
    third.ok(&["cp", "scratch/x", "plain/copy"]);
    assert_eq!(copies(&mesh), 11);
    assert_eq!(first.shoal(&["cat", "plain/copy"]).stdout, vec![1; 100_000]);
}

#[test]
fn settings_that_cannot_be_kept_are_refused_with_a_hint() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    assert!(peer.fails(2, &["bucket", "set", "app", "--copies", "8"]).contains("1 to 7"));
    assert!(peer.fails(2, &["bucket", "set", "app/x", "--copies", "1"]).contains("bucket"));
    assert!(peer.fails(1, &["bucket", "set", "app", "--copies", "2", "--synced", "3"]).contains("at least one copy"));
    assert!(peer.fails(1, &["bucket", "set", "app", "--history", "9999999w"]).contains("hundred years"));
    assert_eq!(peer.ok(&["bucket", "ls"]), "");
    assert!(peer.ok(&["bucket", "show", "app"]).contains("none"));
}

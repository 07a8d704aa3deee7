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
    let told = |copies: &str| {
        let output = first.shoal(&["bucket", "set", "dear", "--copies", copies, "--synced", "2"]);
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(told("7").contains("5 members keep data: there are 5 copies"));
    assert_eq!(told("5"), "");
    second.ok(&["put", &file(1), "scratch/x"]);
    assert_eq!(copies(&mesh), 1);
    third.ok(&["put", &file(2), "dear/x"]);
    wait("the copies that the put did not wait for", || (copies(&mesh) == 6).then_some(()));
    first.ok(&["put", &file(3), "plain/x"]);
    assert_eq!(copies(&mesh), 9);
    let health = second.json(&["health", "--json"]);
    assert_eq!((&health["copies"], &health["copies_missing"]), (&9.into(), &0.into()), "{health}");
    let words = second.ok(&["health"]);
    assert!(words.contains("3 chunks, in 9 copies as wanted, 5 members"), "{words}");
    // A copy for another bucket is as safe as that one wants it.
    third.ok(&["cp", "scratch/x", "plain/copy"]);
    assert_eq!(copies(&mesh), 11);
    assert_eq!(first.shoal(&["cat", "plain/copy"]).stdout, vec![1; 100_000]);
}

#[test]
fn what_has_one_copy_is_read_by_a_task_beside_it() {
    let mesh = Mesh::of(3);
    mesh.peers[0].ok(&["bucket", "set", "scratch", "--copies", "1"]);
    // Large enough that they are not all read where the answer is wanted, and
    // one by one, so that no task goes elsewhere rather than wait.
    let padding = "x".repeat(100);
    for n in 0..4 {
        let rows: String = (0..50_000).map(|id| format!("{id},{n},{padding}\n")).collect();
        let file = mesh.file(&format!("{n}.csv"), format!("id,n,text\n{rows}").as_bytes());
        mesh.peers[1].ok(&["put", &file, &format!("scratch/{n}.csv")]);
        let sum = mesh.peers[2].ok(&["sql", &format!("SELECT sum(n) FROM 'scratch/{n}.csv'"), "--format", "csv"]);
        assert!(sum.ends_with(&format!("\n{}\n", n * 50_000)), "{sum}");
    }
    let jobs = mesh.peers[0].json(&["job", "ls", "--json"]);
    let scanned = |of: &str| jobs.as_array().unwrap().iter().map(|job| job[of].as_u64().unwrap()).sum::<u64>();
    // Without regard to where they are two in three were read from elsewhere.
    // One may be, when its owner is slow to take a task.
    assert!(scanned("scanned_local_bytes") > 0, "{jobs}");
    assert!(scanned("scanned_remote_bytes") * 3 <= scanned("scanned_local_bytes"), "{jobs}");
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

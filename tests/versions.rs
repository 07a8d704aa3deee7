//! What a name stood for can be read for as long as its bucket says.

use serde_json::Value;

use crate::mesh::Mesh;

/// The versions of names, as `ls` tells them.
fn versions(mesh: &Mesh, peer: usize, prefix: &str) -> Vec<Value> {
    mesh.peers[peer].json(&["ls", "--versions", "--json", prefix]).as_array().unwrap().clone()
}

fn etag(version: &Value) -> &str {
    version["etag"].as_str().unwrap()
}

#[test]
fn versions_are_listed_read_brought_back_and_purged_through_any_peer() {
    let mut mesh = Mesh::of(3);
    let file = |mesh: &Mesh, n: u8| {
        // Two that have chunks, and one that lives in its manifest.
        let length = if n == 2 { 10 } else { 100_000 };
        mesh.file("config.bin", &vec![n; length])
    };
    let [first, second, _] = &mesh.peers[..] else { panic!("three peers") };
    let settings = first.json(&["bucket", "set", "app", "--history", "30d", "--json"]);
    assert_eq!(settings["history_s"], 30 * 86_400);
    assert_eq!(second.json(&["bucket", "ls", "--json"])[0]["name"], "app");
    assert!(second.ok(&["bucket", "show", "app"]).contains("30 d"));

    let name = "app/config.bin";
    for n in 1..=3 {
        second.ok(&["put", &file(&mesh, n), name]);
    }
    first.ok(&["put", &file(&mesh, 1), "app/other.bin"]);
    let all = versions(&mesh, 2, "app/config");
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all[0].get("replaced_ms").is_none() && all[1]["replaced_ms"].is_u64());
    let told = mesh.peers[2].ok(&["ls", "--versions", "app/"]);
    assert_eq!(told.lines().filter(|line| line.contains("until now")).count(), 2, "{told}");

    let before = |n: usize| etag(&all[n])[..12].to_owned();
    let read = |mesh: &Mesh, peer: usize, args: &[&str]| mesh.peers[peer].shoal(args).stdout;
    assert_eq!(read(&mesh, 0, &["cat", name, "--version", &before(1)]), [2; 10]);
    assert!(read(&mesh, 2, &["get", name, "-", "--version", &before(2)]) == [1; 100_000]);
    let stat = mesh.peers[0].json(&["stat", name, "--version", &before(2), "--json"]);
    assert_eq!(stat["etag"], all[2]["etag"]);
    let missing = mesh.peers[0].fails(1, &["get", name, "-", "--version", "feedfeedfeed"]);
    assert!(missing.contains("ls --versions"), "{missing}");

    // It can be read though it was removed and a peer is dead, and comes back.
    mesh.peers[0].ok(&["rm", name]);
    mesh.peers[1].kill();
    assert!(mesh.peers[0].fails(1, &["stat", name]).contains("there is no object"));
    assert_eq!(versions(&mesh, 2, "app/config").len(), 3);
    mesh.peers[2].ok(&["cp", name, name, "--version", &before(2)]);
    assert!(read(&mesh, 0, &["get", name, "-"]) == [1; 100_000]);

    // No version is meant by nothing, as an unset variable says it.
    mesh.peers[2].fails(1, &["rm", name, "--version", ""]);
    assert_eq!(versions(&mesh, 2, "app/config").len(), 4);
    mesh.peers[2].ok(&["rm", name, "--version", &before(1)]);
    assert!(versions(&mesh, 0, name).iter().all(|version| etag(version) != etag(&all[1])));
    mesh.peers[0].ok(&["rm", "--purge", name]);
    assert_eq!(versions(&mesh, 2, "app/config").len(), 0);
    assert_eq!(versions(&mesh, 2, "app/").len(), 1, "another name stays");
    // Of several, one that is not there does not keep the others.
    let gone = mesh.peers[0].fails(1, &["rm", "--purge", name, "app/other.bin"]);
    assert!(gone.contains("there is no object"), "{gone}");
    assert_eq!(versions(&mesh, 2, "app/").len(), 0);
}

//! What is appended is there once, whole, and behind all that was there.

use std::collections::BTreeMap;

use std::io::Write;
use std::process::{Command, Stdio};

use crate::mesh::{Mesh, Peer, SHOAL, run, said, wait};

fn append(peer: &Peer, name: &str, bytes: &[u8], more: &[&str]) -> std::process::Output {
    run(&peer.gateway, &[&["append", "-", name], more].concat(), Some(bytes))
}

fn appended(peer: &Peer, name: &str, bytes: &[u8]) {
    said(&["append", name], append(peer, name, bytes, &[]));
}

fn stat(peer: &Peer, name: &str) -> serde_json::Value {
    peer.json(&["stat", name, "--json"])
}

#[test]
fn of_appends_by_many_at_a_time_each_line_is_there_once_and_whole() {
    const LINES: usize = 12;
    let mesh = Mesh::of(3);
    std::thread::scope(|scope| {
        for (at, peer) in mesh.peers.iter().enumerate() {
            for writer in 0..2 {
                scope.spawn(move || {
                    for n in 0..LINES {
                        // Some are longer than a manifest holds.
                        let line = format!("{at}.{writer}.{n} {}\n", "x".repeat(n * 300));
                        appended(peer, "logs/all.txt", line.as_bytes());
                    }
                });
            }
        }
    });
    let text = mesh.peers[1].ok(&["cat", "logs/all.txt"]);
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.lines() {
        let (id, filling) = line.split_once(' ').unwrap_or_else(|| panic!("a torn line: {line}"));
        let (writer, n) = id.rsplit_once('.').unwrap();
        let n: usize = n.parse().unwrap();
        assert_eq!(filling, "x".repeat(n * 300), "a torn line");
        assert_eq!(last.insert(writer, n), n.checked_sub(1), "{writer}: in its order, and each once");
    }
    assert_eq!(last.values().collect::<Vec<_>>(), [&(LINES - 1); 6]);
}

#[test]
fn two_of_the_same_bytes_are_two_and_one_that_is_asked_for_again_is_one() {
    let mesh = Mesh::of(3);
    let [first, second, _] = &mesh.peers[..] else { panic!("three peers") };
    for _ in 0..2 {
        appended(first, "b/x.txt", b"same\n");
    }
    let id = "00112233445566778899aabbccddeeff";
    for peer in [first, second, first] {
        said(&["append", "--id"], append(peer, "b/x.txt", b"once\n", &["--id", id]));
        appended(second, "b/x.txt", b"between\n");
    }
    assert_eq!(second.ok(&["cat", "b/x.txt"]), "same\nsame\nonce\nbetween\nbetween\nbetween\n");

    let seen = stat(first, "b/x.txt")["etag"].as_str().unwrap().to_owned();
    appended(second, "b/x.txt", b"more\n");
    let refused = append(first, "b/x.txt", b"no\n", &["--if-match", &seen]);
    assert_eq!(refused.status.code(), Some(1));
    let seen = stat(first, "b/x.txt")["etag"].as_str().unwrap().to_owned();
    said(&["append", "--if-match"], append(first, "b/x.txt", b"yes\n", &["--if-match", &seen]));
    assert!(first.ok(&["cat", "b/x.txt"]).ends_with("more\nyes\n"));
}

#[test]
fn a_long_object_is_appended_to_by_its_last_chunk_alone_and_says_that_its_etag_is_no_hash() {
    let mesh = Mesh::of(3);
    let [first, second, third] = &mesh.peers[..] else { panic!("three peers") };
    let line = "a line of some text that is long enough to be one\n";
    // Its last chunk ends in the middle of a line.
    let mut content = line.repeat((40 << 20) / line.len()) + "torn";
    first.ok(&["put", &mesh.file("f", content.as_bytes()), "b/long.txt"]);
    let before = stat(first, "b/long.txt");
    appended(second, "b/long.txt", b" no more\nend\n");
    let after = stat(third, "b/long.txt");
    content += " no more\nend\n";
    let ids = |stat: &serde_json::Value| -> Vec<String> {
        let chunks = stat["chunk_list"].as_array().unwrap();
        chunks.iter().map(|chunk| chunk["id"].as_str().unwrap().to_owned()).collect()
    };
    let (old, new) = (ids(&before), ids(&after));
    assert!(old.len() > 1 && new.len() == old.len() && new[..new.len() - 1] == old[..old.len() - 1]);
    assert!(after["etag"].as_str().unwrap().ends_with("-1"));
    let file = mesh.path("back.txt");
    third.ok(&["get", "b/long.txt", &file]);
    assert!(std::fs::read(&file).unwrap() == content.as_bytes(), "byte for byte");

    // Behind a chunk that ends with a line a new one begins.
    appended(first, "b/long.txt", b"and more\n");
    let grown = ids(&stat(first, "b/long.txt"));
    assert_eq!((grown.len(), &grown[..new.len()]), (new.len() + 1, &new[..]));
    // What is appended may be of several chunks, and from several files.
    let (one, two) = (mesh.file("one", content.as_bytes()), mesh.file("two", b"two\n"));
    second.ok(&["append", &one, &two, "b/long.txt"]);
    content = content.clone() + "and more\n" + &content + "two\n";
    third.ok(&["get", "b/long.txt", &file]);
    assert!(std::fs::read(&file).unwrap() == content.as_bytes(), "byte for byte");
}

#[test]
fn a_csv_that_came_in_pieces_is_queried_as_one() {
    let mesh = Mesh::of(3);
    let mut csv = "id,note\n".to_owned();
    let rows = 400_000u64;
    csv.extend((0..rows).map(|n| format!("{n},\"line one\nof {n}, quoted\"\n")));
    // Cut wherever it comes, in the middle of quotes too.
    let bytes = csv.as_bytes();
    let ends = [0, 5, 8, 2_000, 9_001, bytes.len() / 3, bytes.len() / 3 + 7, bytes.len()];
    for (n, ends) in ends.windows(2).enumerate() {
        appended(&mesh.peers[n % 3], "t/x.csv", &bytes[ends[0]..ends[1]]);
    }
    let sums = mesh.peers[1].ok(&["sql", "SELECT count(*), sum(id) FROM 't/x.csv'", "--format", "csv"]);
    let expected = format!("{rows},{}", rows * (rows - 1) / 2);
    assert_eq!(sums.lines().last(), Some(expected.as_str()));
    assert!(mesh.peers[2].ok(&["cat", "t/x.csv"]) == csv);
}

#[test]
fn what_bytes_behind_its_end_would_break_is_refused() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let file = mesh.path("x.parquet");
    said(&["sql"], run(&peer.gateway, &["sql", "SELECT 1 AS a", "--output", &file], None));
    peer.ok(&["put", &file, "b/x.parquet"]);
    let refused = append(peer, "b/x.parquet", b"more", &[]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("parquet") && told.contains("hint"), "{told}");
    said(&["append"], append(peer, "b/x.parquet", b"more", &["--format", "bytes"]));
    assert_eq!(stat(peer, "b/x.parquet")["format"], "bytes");
    appended(peer, "b/new.bin", b"");
    assert_eq!(stat(peer, "b/new.bin")["bytes"], 0);
    assert_eq!(append(peer, "nobucket", b"x", &[]).status.code(), Some(2));
}

/// Appends by a peer that is killed in the middle: while the bytes come, and at
/// any moment around its answer. Whoever asked does not know; asked for again
/// at another peer under the same id, it is there once.
#[test]
fn an_append_whose_peer_is_killed_in_the_middle_is_there_once_when_another_is_asked() {
    const KILLS: usize = 6;
    let mut mesh = Mesh::of(4);
    appended(&mesh.peers[0], "logs/k.txt", b"begin\n");
    let mut expected = "begin\n".to_owned();
    for kill in 0..KILLS {
        let line = format!("{kill} {}\n", "x".repeat(1 << (2 * kill + 6)));
        let id = format!("{:032x}", 0xabc + kill);
        let victim = &mesh.peers[3];
        let mut asking = Command::new(SHOAL)
            .args(["append", "-", "logs/k.txt", "--id", &id])
            .env("SHOAL_PEER", &victim.gateway)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = asking.stdin.take().unwrap();
        stdin.write_all(line.as_bytes()).unwrap();
        if kill == 0 {
            // Before it is whole: nothing of it may be there.
            mesh.peers[3].kill();
            drop(stdin);
        } else {
            drop(stdin);
            std::thread::sleep(std::time::Duration::from_millis(4 * kill as u64));
            mesh.peers[3].kill();
        }
        asking.wait().unwrap();
        // Two of them, and the second one twice: each finds it made, or makes it.
        for at in [kill % 3, (kill + 1) % 3, (kill + 1) % 3] {
            wait("the others to take it", || {
                append(&mesh.peers[at], "logs/k.txt", line.as_bytes(), &["--id", &id]).status.success().then_some(())
            });
        }
        expected += &line;
        assert!(mesh.peers[kill % 3].ok(&["cat", "logs/k.txt"]) == expected, "after kill {kill}");
        mesh.restart(3);
        mesh.settle();
    }
    assert!(mesh.peers[3].ok(&["cat", "logs/k.txt"]) == expected);
}

//! A put that was interrupted goes on where it was.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Mesh, Peer, SHOAL, said, wait};

/// Starts a command against a peer, to be killed in the middle.
fn begin(peer: &Peer, args: &[&str]) -> Child {
    let mut command = Command::new(SHOAL);
    command.args(args).env("SHOAL_PEER", &peer.gateway).env_remove("SHOAL_SECRET");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a command that went well told on stderr.
fn told(peer: &Peer, args: &[&str]) -> String {
    let output = peer.shoal(args);
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    said(args, output);
    stderr
}

/// Bytes that are like no others.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed * 2 + 1;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 24) as u32
    });
    words.flat_map(u32::to_le_bytes).take(bytes).collect()
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
}

/// Stops a put once so many objects are stored: it does not go on while they are counted.
fn stopped_at(child: &Child, peer: &Peer, prefix: &str, least: usize) {
    wait("some of it to be stored", || {
        signal(child, "-STOP");
        if count(peer, prefix) >= least {
            return Some(());
        }
        signal(child, "-CONT");
        None
    });
}

fn count(peer: &Peer, prefix: &str) -> usize {
    peer.ok(&["ls", prefix]).lines().count()
}

#[test]
fn a_put_of_a_tree_that_was_killed_goes_on_where_it_was() {
    const FILES: usize = 80;
    let mesh = Mesh::of(3);
    let [first, second, _] = &mesh.peers[..] else { panic!("three peers") };
    let file = |n: usize| content(n as u64, 1_000 + n * 5_000);
    for n in 0..FILES {
        mesh.file(&format!("tree/{n:03}.bin"), &file(n));
    }
    let dir = mesh.path("tree");
    let mut killed = begin(first, &["put", &dir, "b/tree/", "--jobs", "2"]);
    stopped_at(&killed, second, "b/tree/", 10);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let stored = count(first, "b/tree/");
    assert!(stored < FILES, "it was over before it was killed");
    // One is another by now.
    mesh.file("tree/000.bin", &file(1)[..1_000]);

    let resumed = told(second, &["put", &dir, "b/tree/", "--resume"]);
    assert!(resumed.contains(&format!("{FILES} objects")), "{resumed}");
    let left: usize = resumed.split_once("; ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    // What was on its way when it was killed may have been stored after.
    assert!((stored - 1..=stored + 2).contains(&left), "{stored} were stored, {resumed}");
    let again = told(first, &["put", &dir, "b/tree/", "--resume"]);
    assert!(again.contains(&format!("; {FILES} objects there already")), "{again}");
    // What is to have an MD5 and has none is not there as it should be.
    let with_md5 = ["put", &dir, "b/tree/", "--resume", "--md5"];
    assert!(!told(first, &with_md5).contains("there already"));
    let md5 = first.json(&["stat", "b/tree/001.bin", "--json"])["md5"].as_str().map(str::len);
    assert_eq!(md5, Some(32));
    assert!(told(first, &with_md5).contains(&format!("; {FILES} objects there already")));
    let out = mesh.path("out");
    first.ok(&["get", "b/tree/", &out]);
    for n in 0..FILES {
        let back = std::fs::read(format!("{out}/{n:03}.bin")).unwrap();
        assert!(back == if n == 0 { file(1)[..1_000].to_vec() } else { file(n) }, "{n}");
    }
    // Whoever interrupts is told how to go on.
    let mut interrupted = begin(first, &["put", &dir, "b/other/", "--jobs", "1"]);
    stopped_at(&interrupted, second, "b/other/", 1);
    signal(&interrupted, "-INT");
    signal(&interrupted, "-CONT");
    assert_eq!(interrupted.wait().unwrap().code(), Some(130));
    let mut hint = String::new();
    std::io::Read::read_to_string(&mut interrupted.stderr.take().unwrap(), &mut hint).unwrap();
    assert!(hint.contains("--resume"), "{hint}");
}

#[test]
fn chunks_that_are_there_are_not_sent_again() {
    let mesh = Mesh::of(3);
    let peer = &mesh.peers[0];
    let bytes = content(1, 50 << 20);
    let file = mesh.file("large.bin", &bytes);
    let mut killed = begin(peer, &["put", "-", "b/large.bin"]);
    killed.stdin.as_mut().unwrap().write_all(&bytes[..40 << 20]).unwrap();
    // The first two chunks are complete; three copies of each.
    wait("two chunks to be kept", || {
        let chunks: u64 =
            mesh.peers.iter().map(|peer| peer.status().map_or(0, |it| it["chunks"].as_u64().unwrap_or(0))).sum();
        (chunks >= 6).then_some(())
    });
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(count(peer, "b/"), 0, "half an object is none");
    let first = told(&mesh.peers[1], &["put", &file, "b/large.bin"]);
    // An owner that is too busy to look is sent a chunk again.
    let known =
        ["32.0 MiB", "16.0 MiB"].iter().any(|size| first.contains(&format!("{size} of it in the mesh already")));
    assert!(known, "{first}");
    // The same content under another name.
    wait("all of it to be known", || {
        let again = told(peer, &["put", &file, "b/again.bin"]);
        again.contains("50.0 MiB of it in the mesh already").then_some(())
    });
    assert!(std::fs::read(&file).unwrap() == bytes);
    peer.ok(&["get", "b/again.bin", &file]);
    assert!(std::fs::read(&file).unwrap() == bytes, "byte for byte");
}

/// Each of those that failed was to be put again under an id of its own, and
/// nobody heard how many were stored.
#[test]
fn a_put_of_a_tree_whose_peer_dies_says_how_much_is_stored_and_how_to_go_on() {
    const FILES: u64 = 200;
    let mut mesh = Mesh::of(1);
    let peer = &mut mesh.peers[0];
    let tree = tempfile::tempdir().unwrap();
    for n in 0..FILES {
        std::fs::write(tree.path().join(format!("{n:03}.bin")), content(n, 300_000)).unwrap();
    }
    let dir = tree.path().to_str().unwrap();
    let put = begin(peer, &["put", dir, "b/", "--jobs", "1"]);
    stopped_at(&put, peer, "b/", 5);
    peer.kill();
    signal(&put, "-CONT");
    let output = put.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    let last: Vec<&str> = told.lines().rev().take(3).collect();
    assert!(last[0].starts_with("hint: ") && last[0].ends_with("again with --resume to go on"), "{told}");
    let stored = last[2].strip_suffix(" objects of 200 stored").unwrap_or_else(|| panic!("{told}"));
    assert!((4..200).contains(&stored.parse().unwrap()) && !told.contains("--id"), "{told}");
}

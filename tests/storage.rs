//! What was put is there, whoever died.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::mesh::{Mesh, Peer, SHOAL, said, wait};

/// Bytes that do not compress and do not repeat, the same for the same seed.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise
}

/// What a peer gives for a name.
fn get(peer: &Peer, mesh: &Mesh, name: &str) -> Vec<u8> {
    let target = mesh.path(&format!("got-{}-{}", peer.name, name.replace('/', "-")));
    peer.ok(&["get", name, &target]);
    std::fs::read(target).unwrap()
}

#[test]
fn an_object_is_the_same_from_every_peer_and_byte_for_byte_what_was_put() {
    let mesh = Mesh::of(3);
    let large = noise(40 << 20, 1);
    for (name, content) in [("empty", &large[..0]), ("small", &large[..100]), ("large", &large[..])] {
        let file = mesh.file(name, content);
        mesh.peers[0].ok(&["put", &file, &format!("things/{name}.bin")]);
    }
    for peer in &mesh.peers {
        let listed = peer.json(&["ls", "things/", "--json"]).to_string();
        for (name, content) in [("empty", &large[..0]), ("small", &large[..100]), ("large", &large[..])] {
            let name = format!("things/{name}.bin");
            assert!(listed.contains(&name), "{} does not list {name}: {listed}", peer.name);
            assert!(get(peer, &mesh, &name) == content, "{} gives other bytes for {name}", peer.name);
        }
    }
    let stat = mesh.peers[1].json(&["stat", "things/large.bin", "--json"]);
    assert_eq!(stat["bytes"], large.len());
    mesh.peers[2].ok(&["rm", "things/large.bin"]);
    for peer in &mesh.peers {
        let said = peer.fails(1, &["get", "things/large.bin", "-"]);
        assert!(said.contains("things/large.bin") && said.contains("hint"), "{said}");
    }
}

#[test]
fn chunks_and_names_survive_kill_nine_of_all_peers_at_once() {
    let mut mesh = Mesh::of(3);
    let content = noise(20 << 20, 7);
    let file = mesh.file("f", &content);
    mesh.peers[0].ok(&["put", &file, "b/f.bin"]);
    let version = mesh.peers[0].status().unwrap()["layout"]["version"].clone();
    for peer in &mut mesh.peers {
        peer.kill();
    }
    for at in 0..3 {
        mesh.restart(at);
    }
    mesh.settle();
    for peer in &mesh.peers {
        assert!(get(peer, &mesh, "b/f.bin") == content, "{} lost it", peer.name);
    }
    assert_eq!(mesh.peers[0].status().unwrap()["layout"]["version"], version, "the layout is remembered");
}

#[test]
fn a_restarted_peer_comes_back_with_its_name_and_its_data() {
    let mut mesh = Mesh::of(3);
    let content = noise(2 << 20, 3);
    let file = mesh.file("f", &content);
    mesh.peers[2].ok(&["put", &file, "b/f.bin"]);
    let id = |peer: &Peer| {
        let status = peer.status().unwrap();
        status["members"].as_array().unwrap().iter().find(|m| m["self"] == true).unwrap()["id"].clone()
    };
    let before = id(&mesh.peers[1]);
    let held = mesh.peers[1].status().unwrap()["chunks"].clone();
    assert_eq!(mesh.peers[1].terminate(), Some(0), "SIGTERM is a clean stop");
    mesh.restart(1);
    mesh.settle();
    assert_eq!(id(&mesh.peers[1]), before);
    assert_eq!(mesh.peers[1].status().unwrap()["chunks"], held);
    assert!(get(&mesh.peers[1], &mesh, "b/f.bin") == content);
}

#[test]
fn a_put_goes_on_when_an_owner_is_killed_in_the_middle() {
    let mut mesh = Mesh::of(5);
    let content = noise(96 << 20, 11);
    let mut put = Command::new(SHOAL)
        .args(["put", "-", "b/f.bin"])
        .env("SHOAL_PEER", &mesh.peers[0].gateway)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = put.stdin.take().unwrap();
    let (first, rest) = content.split_at(content.len() / 2);
    input.write_all(first).unwrap();
    // Chunks of the first half are on their way: one of the peers that take them dies.
    let holder = wait("somebody to hold a chunk", || {
        (1..5).find(|at| mesh.peers[*at].status().is_some_and(|status| status["chunks"] != 0))
    });
    mesh.peers[holder].kill();
    input.write_all(rest).unwrap();
    drop(input);
    said(&["put", "-", "b/f.bin"], put.wait_with_output().unwrap());
    for at in (0..5).filter(|at| *at != holder) {
        assert!(get(&mesh.peers[at], &mesh, "b/f.bin") == content, "{}", mesh.peers[at].name);
    }
}

#[test]
fn data_put_before_peers_joined_is_brought_to_its_new_owners() {
    let mut mesh = Mesh::of(1);
    let content = noise(24 << 20, 5);
    let file = mesh.file("f", &content);
    mesh.peers[0].ok(&["put", &file, "b/f.bin"]);
    let join = mesh.peers[0].address.clone();
    for n in 2..=3 {
        let peer = Peer::start(mesh.dir.path(), &format!("peer-{n}"), crate::mesh::SECRET, &["--join", &join]);
        mesh.peers.push(peer);
    }
    mesh.settle();
    // Three members, three replicas: now the first may go.
    wait("every peer to hold every chunk", || {
        let counts: Vec<u64> = mesh.peers.iter().filter_map(|peer| peer.status()?["chunks"].as_u64()).collect();
        (counts == [2, 2, 2]).then_some(())
    });
    mesh.peers[0].kill();
    for at in 1..3 {
        assert!(get(&mesh.peers[at], &mesh, "b/f.bin") == content, "{}", mesh.peers[at].name);
    }
}

/// A process that runs for short moments only, until this is dropped: what it
/// takes part in takes long enough to be looked at, however fast the machine.
struct Slowed {
    ends: Sender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Slowed {
    fn process(pid: u32) -> Self {
        let (ends, ended) = channel::<()>();
        let signal = move |signal: &str| drop(Command::new("kill").args([signal, &pid.to_string()]).status());
        let thread = std::thread::spawn(move || {
            loop {
                signal("-STOP");
                let is_over = ended.recv_timeout(Duration::from_millis(150)) != Err(RecvTimeoutError::Timeout);
                signal("-CONT");
                if is_over {
                    return;
                }
                std::thread::sleep(Duration::from_millis(30));
            }
        });
        Self { ends, thread: Some(thread) }
    }
}

impl Drop for Slowed {
    fn drop(&mut self) {
        let _ = self.ends.send(());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn status_tells_how_much_moves_while_it_moves_and_nothing_of_it_afterwards() {
    const OBJECTS: u64 = 64;
    let mut mesh = Mesh::of(2);
    for n in 0..OBJECTS {
        mesh.file(&format!("many/{n}.bin"), &noise(1 << 20, n + 1));
    }
    mesh.peers[0].ok(&["put", &mesh.path("many/"), "many/"]);
    assert_eq!(mesh.peers[0].status().unwrap()["moving"], Value::Null);
    let join = mesh.peers[0].address.clone();
    mesh.peers.push(Peer::start(mesh.dir.path(), "peer-3", crate::mesh::SECRET, &["--join", &join]));
    let slowed = Slowed::process(mesh.peers[2].pid());
    // All three copies are owned from now on: each object's third is brought,
    // by either of the two who hold it, or by both.
    let number = |moving: &Value, field: &str| moving[field].as_u64().unwrap();
    let status = wait("some copies to be brought, and some not yet", || {
        let status = mesh.peers[1].status()?;
        let moving = Some(&status["moving"]).filter(|moving| !moving.is_null())?;
        (number(moving, "copies_brought") > 0 && number(moving, "copies_missing") > 0).then_some(status)
    });
    drop(slowed);
    let (moving, here) = (&status["moving"], &status["moving_here"]);
    assert!(number(moving, "copies_brought") + number(moving, "copies_missing") <= 2 * OBJECTS, "{moving}");
    assert_eq!(number(moving, "bytes_brought"), number(moving, "copies_brought") << 20, "{moving}");
    assert_eq!(number(moving, "bytes_missing"), number(moving, "copies_missing") << 20, "{moving}");
    assert!(number(moving, "names_settled") <= number(moving, "names_seen"), "{moving}");
    assert!(number(moving, "chunks_looked_at") <= number(moving, "chunks_held"), "{moving}");
    assert!((1..=3).contains(&number(moving, "peers")), "{moving}");
    if !here.is_null() {
        assert!(number(here, "copies_brought") <= number(moving, "copies_brought"), "{here} of {moving}");
    }
    mesh.settle();
    for peer in &mesh.peers {
        wait("nothing to move any more", || {
            let status = peer.status()?;
            (status["moving"].is_null() && status["moving_here"].is_null() && status["chunks"] == OBJECTS).then_some(())
        });
    }
}

#[test]
fn a_broken_copy_is_noticed_and_mended_from_another() {
    let mesh = Mesh::of(3);
    let content = noise(5 << 20, 9);
    let file = mesh.file("f", &content);
    mesh.peers[0].ok(&["put", &file, "b/f.bin"]);
    let chunk = find_chunk(&mesh.peers[1].dir.join("chunks")).expect("three peers, three replicas");
    let mut bytes = std::fs::read(&chunk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&chunk, &bytes).unwrap();
    assert!(get(&mesh.peers[1], &mesh, "b/f.bin") == content);
    wait("the copy to be whole again", || (std::fs::read(&chunk).ok()? == content).then_some(()));
}

fn find_chunk(dir: &std::path::Path) -> Option<std::path::PathBuf> {
    for entry in std::fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find_chunk(&path) {
                return Some(found);
            }
        } else if entry.metadata().is_ok_and(|meta| meta.len() > 1 << 20) {
            return Some(path);
        }
    }
    None
}

#[test]
fn a_minority_refuses_to_change_names_within_a_bounded_time() {
    let mut mesh = Mesh::of(3);
    let file = mesh.file("f", b"x");
    mesh.peers[0].ok(&["put", &file, "b/f"]);
    mesh.peers[1].kill();
    mesh.peers[2].kill();
    std::thread::sleep(Duration::from_millis(300));
    let said = mesh.peers[0].fails(3, &["put", &file, "b/g"]);
    assert!(said.contains("hint"), "{said}");
}

#[test]
fn a_minority_reads_chunks_by_their_hashes_where_no_name_can_be_asked_for() {
    let mut mesh = Mesh::of(3);
    let content: Vec<u8> = (0..40_000_000_u64).map(|at| (at.wrapping_mul(0x9e37_79b9) >> 19) as u8).collect();
    let file = mesh.file("f.bin", &content);
    mesh.peers[0].ok(&["put", &file, "b/f.bin"]);
    let manifest = mesh.peers[1].json(&["stat", "b/f.bin", "--json"]);
    let hashes: Vec<&str> =
        manifest["chunk_list"].as_array().unwrap().iter().map(|chunk| chunk["id"].as_str().unwrap()).collect();
    assert!(hashes.len() > 1, "{manifest}");
    let by_hash = |peer: &Peer| peer.shoal(&[&["cat", "--chunk"], &hashes[..]].concat()).stdout;
    assert!(by_hash(&mesh.peers[2]) == content);

    mesh.peers[1].kill();
    mesh.peers[2].kill();
    let said = mesh.peers[0].fails(3, &["cat", "b/f.bin"]);
    assert!(said.contains("peers answered") || said.contains("quorum"), "{said}");
    assert!(by_hash(&mesh.peers[0]) == content);
    // What nobody within reach has is not called absent.
    let nobodys = "0".repeat(64);
    let said = mesh.peers[0].fails(3, &["cat", "--chunk", &nobodys]);
    assert!(said.contains("no whole copy on any reachable peer"), "{said}");
    assert!(mesh.peers[0].fails(2, &["cat", "--chunk", "0123"]).contains("hex"));
}

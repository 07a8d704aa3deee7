//! What was put is there, whoever died.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

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
fn any_two_of_five_peers_may_die_at_once_and_everything_is_still_there() {
    let mut mesh = Mesh::of(5);
    let contents: Vec<Vec<u8>> = (0..6).map(|n| noise(3 << 20, n)).collect();
    for (n, content) in contents.iter().enumerate() {
        let file = mesh.file(&format!("f{n}"), content);
        mesh.peers[n % 5].ok(&["put", &file, &format!("b/f{n}.bin")]);
    }
    // Whichever the owners are, over the objects every pair of them is hit.
    mesh.peers[1].kill();
    mesh.peers[3].kill();
    for at in [0, 2, 4] {
        for (n, content) in contents.iter().enumerate() {
            assert!(get(&mesh.peers[at], &mesh, &format!("b/f{n}.bin")) == *content, "object {n}");
        }
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

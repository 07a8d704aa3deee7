//! The secret admits; without it nobody joins, and the refusal says why.

use std::io::Write;
use std::net::TcpStream;

use crate::mesh::{Mesh, Peer, wait};

#[test]
fn a_peer_with_another_secret_is_refused_and_both_sides_say_why() {
    let mesh = Mesh::of(2);
    let join = mesh.peers[0].address.clone();
    let stranger = Peer::start(mesh.dir.path(), "stranger", "quite another secret", &["--join", &join]);
    for peer in [&stranger, &mesh.peers[0]] {
        wait(&format!("{} to say why", peer.name), || {
            let notices = peer.status()?["notices"].to_string();
            notices.contains("secret").then_some(())
        });
    }
    let members = mesh.peers[0].status().unwrap()["members"].as_array().unwrap().len();
    assert_eq!(members, 2, "the stranger is no member");
}

#[test]
fn garbage_on_the_port_of_a_peer_changes_nothing() {
    let mesh = Mesh::of(2);
    let mut kept = Vec::new();
    for n in 0..50u8 {
        let mut socket = TcpStream::connect(&mesh.peers[0].address).unwrap();
        let garbage: Vec<u8> = match n % 3 {
            0 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            1 => (0..2000u32).map(|m| (m.wrapping_mul(2_654_435_761) >> 13) as u8 ^ n).collect(),
            _ => Vec::new(),
        };
        // The other end may close at any moment.
        let _ = socket.write_all(&garbage);
        kept.push(socket);
    }
    let file = mesh.file("f", b"still here");
    mesh.peers[0].ok(&["put", &file, "b/f"]);
    assert_eq!(mesh.peers[1].ok(&["get", "b/f", "-"]), "still here");
}

#[test]
fn a_thousand_connections_that_say_nothing_cost_little_and_keep_nobody_out() {
    let mesh = Mesh::of(2);
    let (hub, before) = (&mesh.peers[0], mesh.peers[0].memory("VmRSS"));
    let address = hub.address.parse().unwrap();
    // Some wait in the queue of the system, and some are turned away at once.
    let silent: Vec<TcpStream> = (0..1_000)
        .filter_map(|_| TcpStream::connect_timeout(&address, std::time::Duration::from_millis(200)).ok())
        .collect();
    assert!(silent.len() >= 100, "{} connections", silent.len());
    let _newcomer = Peer::start(mesh.dir.path(), "newcomer", crate::mesh::SECRET, &["--join", &hub.address]);
    wait("a newcomer to be taken in all the same", || {
        let members = hub.status()?["layout"]["members"].as_array()?.len();
        (members == 3).then_some(())
    });
    let more = hub.memory("VmRSS").saturating_sub(before);
    assert!(more < 64 << 20, "{more} bytes for {} connections", silent.len());
}

#[test]
fn the_secret_is_in_no_log_and_in_no_process_list() {
    let mesh = Mesh::of(2);
    for peer in &mesh.peers {
        let log = std::fs::read_to_string(mesh.dir.path().join(format!("{}.log", peer.name))).unwrap();
        assert!(!log.contains(crate::mesh::SECRET), "{} logs the secret", peer.name);
        let arguments = std::fs::read(format!("/proc/{}/cmdline", peer.pid())).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&arguments).contains(crate::mesh::SECRET));
    }
}

#[test]
fn the_secret_is_changed_while_the_mesh_runs() {
    let mut mesh = Mesh::of(3);
    let secret = |peer: &Peer| peer.ok(&["secret", "--dir", peer.dir.to_str().unwrap()]).trim().to_owned();
    let file = mesh.file("f", b"all the while");
    mesh.peers[0].ok(&["put", &file, "b/f"]);
    mesh.peers[1].ok(&["secret", "rotate"]);
    let new = secret(&mesh.peers[1]);
    assert_ne!(new, crate::mesh::SECRET);
    for peer in &mesh.peers {
        wait("all to have the new one", || {
            let changing = peer.status()?["secret_changing"] == true;
            (!changing && secret(peer) == new).then_some(())
        });
        assert_eq!(peer.ok(&["get", "b/f", "-"]), "all the while");
    }
    let join = mesh.peers[0].address.clone();
    let late = Peer::start(mesh.dir.path(), "late", crate::mesh::SECRET, &["--join", &join]);
    wait("the old one to be refused", || late.status()?["notices"].to_string().contains("secret").then_some(()));
    drop(late);
    // A member that is started with the old one as ever knows better.
    mesh.peers[2].kill();
    mesh.restart(2);
    mesh.settle();
    let fourth = Peer::start(mesh.dir.path(), "peer-4", &new, &["--join", &join]);
    mesh.peers.push(fourth);
    mesh.settle();
    for peer in &mesh.peers {
        let log = std::fs::read_to_string(mesh.dir.path().join(format!("{}.log", peer.name))).unwrap();
        assert!(!log.contains(&new), "{} logs the secret", peer.name);
    }
}

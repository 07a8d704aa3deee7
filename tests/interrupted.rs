//! A command that is interrupted leaves nothing behind.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Mesh, Peer, SHOAL, wait};

/// Starts a command that waits for the peer, which is stopped, and has begun a
/// file in a directory.
fn waiting(peer: &Peer, command: &mut Command, dir: &str) -> Child {
    signal(peer.pid(), "-STOP");
    command.env("SHOAL_PEER", &peer.gateway).stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait("a file to be begun", || names(dir).iter().any(|name| name.starts_with(".shoal-")).then_some(()));
    child
}

fn signal(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

fn names(dir: &str) -> Vec<String> {
    let entries = std::fs::read_dir(Path::new(dir)).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

/// A session that was closed ended it at once, and its temporary file stayed.
#[test]
fn a_get_whose_terminal_is_gone_leaves_no_file_behind() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    peer.ok(&["put", &mesh.file("f", b"content"), "b/f"]);
    let dir = mesh.path("out");
    std::fs::create_dir(&dir).unwrap();
    let to = format!("{dir}/f");
    let mut get = waiting(peer, Command::new(SHOAL).args(["get", "b/f", &to]), &dir);
    // The shell tells of it, and the kernel.
    signal(get.id(), "-HUP");
    let _ = Command::new("kill").args(["-HUP", &get.id().to_string()]).stderr(Stdio::null()).status();
    assert_eq!(get.wait().unwrap().code(), Some(129));
    assert_eq!(names(&dir), [""; 0]);
    signal(peer.pid(), "-CONT");

    // Whoever started it so that it goes on is heard.
    let script = "trap '' HUP; exec \"$0\" get b/f \"$1\"";
    let mut get = waiting(peer, Command::new("sh").args(["-c", script, SHOAL, &to]), &dir);
    signal(get.id(), "-HUP");
    signal(peer.pid(), "-CONT");
    assert_eq!(get.wait().unwrap().code(), Some(0));
    assert_eq!(names(&dir), ["f"]);
}

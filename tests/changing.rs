//! What is stored is what a file was, and never half of that and half of
//! what it became meanwhile.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::mesh::{Mesh, Peer, SHOAL, wait};

/// More than sockets hold: the rest is read when the peer has taken some of it.
const BYTES: usize = 64 << 20;

/// Runs a command whose file is changed when some of it was read; gives its
/// exit code, and what it told.
fn changed_midway(peer: &Peer, args: &[&str], file: &str, change: impl FnOnce(&Path)) -> (Option<i32>, String) {
    std::fs::write(file, vec![1; BYTES]).unwrap();
    signal(peer.pid(), "-STOP");
    let mut command = Command::new(SHOAL);
    command.args(args).env("SHOAL_PEER", &peer.gateway).stdin(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    wait("some of the file to be read", || (bytes_read(&child, file) > 0).then_some(()));
    change(Path::new(file));
    signal(peer.pid(), "-CONT");
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn signal(pid: u32, signal: &str) {
    assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
}

/// How far a process is in a file that it has open.
fn bytes_read(child: &Child, file: &str) -> u64 {
    let process = format!("/proc/{}", child.id());
    let open = std::fs::read_dir(format!("{process}/fd")).unwrap().flatten();
    let of_file = open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path == Path::new(file)));
    let position = |fd: std::fs::DirEntry| {
        let info = std::fs::read_to_string(format!("{process}/fdinfo/{}", fd.file_name().display())).ok()?;
        info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
    };
    of_file.filter_map(position).max().unwrap_or(0)
}

/// A put of a file that was written to meanwhile stored a mixture of both, and
/// ended well.
#[test]
fn a_file_that_changes_while_it_is_put_is_refused_and_nothing_of_it_stored() {
    let mesh = Mesh::of(1);
    let peer = &mesh.peers[0];
    let file = mesh.path("f.bin");
    let overwrite = |path: &Path| std::fs::write(path, vec![2; BYTES]).unwrap();
    let cut = |path: &Path| std::fs::File::options().write(true).open(path).unwrap().set_len(BYTES as u64 / 2).unwrap();
    let put = ["put", &file, "b/f.bin"];
    for told in [changed_midway(peer, &put, &file, overwrite), changed_midway(peer, &put, &file, cut)] {
        assert_eq!(told.0, Some(1), "{}", told.1);
        assert!(told.1.contains(&format!("error: '{file}' changed while it was read\nhint: ")), "{}", told.1);
        assert_eq!(peer.ok(&["ls", "b/"]), "");
    }
    // Nor is anything of it appended.
    let start = mesh.file("start.bin", b"start");
    peer.ok(&["put", &start, "b/log"]);
    let (code, told) = changed_midway(peer, &["append", &file, "b/log"], &file, overwrite);
    assert!(code == Some(1) && told.contains("changed while it was read"), "{code:?} {told}");
    assert_eq!(peer.ok(&["cat", "b/log"]), "start");
    // Once it is left alone it is stored.
    let (code, told) = changed_midway(peer, &put, &file, |_| ());
    assert_eq!(code, Some(0), "{told}");
}

//! Bad input gets a clear error with a hint, and loses nothing.

use std::process::{Command, Stdio};

use crate::mesh::{Mesh, Peer, SECRET, SHOAL, alone, complained};

#[test]
fn an_unknown_table_is_named_and_so_is_the_way_out() {
    let mesh = Mesh::of(1);
    let said = mesh.peers[0].fails(1, &["sql", "SELECT * FROM 'trips/*.parquet'"]);
    assert!(said.contains("trips/*.parquet") && said.contains("shoal put"), "{said}");
    let alone = complained(1, &["sql"], alone(mesh.dir.path(), &["sql", "SELECT * FROM 'no-such.csv'"], None));
    assert!(alone.contains("no-such.csv"), "{alone}");
}

#[test]
fn a_broken_parquet_file_is_refused_and_what_was_there_stays() {
    let mesh = Mesh::of(2);
    let good = mesh.file("good.bin", b"what was there");
    mesh.peers[0].ok(&["put", &good, "b/t.parquet", "--format", "bytes"]);
    // It begins as one: what does not is stored as the bytes that it is.
    let broken = mesh.file("t.parquet", &[&b"PAR1"[..], &[b'x'; 5000]].concat());
    let said = mesh.peers[0].fails(1, &["put", &broken, "b/t.parquet"]);
    assert!(said.contains("t.parquet") && said.contains("--format bytes"), "{said}");
    assert_eq!(mesh.peers[1].ok(&["get", "b/t.parquet", "-"]), "what was there");
}

#[test]
fn a_ragged_csv_row_is_told_with_its_line() {
    let mesh = Mesh::of(2);
    let mut csv = String::from("a,b\n");
    for n in 0..500 {
        csv.push_str(&format!("{n},\"x\ny\"\n"));
    }
    csv.push_str("1,2,3\n");
    let file = mesh.file("ragged.csv", csv.as_bytes());
    mesh.peers[0].ok(&["put", &file, "b/ragged.csv"]);
    let said = mesh.peers[1].fails(1, &["sql", "SELECT sum(a) FROM 'b/ragged.csv'"]);
    assert!(said.contains("b/ragged.csv") && said.contains("1002"), "{said}");
}

#[test]
fn a_bucket_in_the_place_of_an_object_is_wrong_usage_of_every_command() {
    let mesh = Mesh::of(1);
    let (peer, file) = (&mesh.peers[0], mesh.file("f", b"x"));
    peer.ok(&["put", &file, "b/x"]);
    for (line, hint) in [
        (&["put", &file, "b"][..], "slash: b/"),
        (&["get", "b"], "'b/**'"),
        (&["cat", "b/"], "'b/**'"),
        (&["rm", "b"], "'b/**'"),
        (&["cp", "b/x", "c"], "slash: c/"),
        (&["mv", "b", "c/"], "'b/**'"),
        (&["append", &file, "b"], "BUCKET/KEY"),
        (&["stat", "b"], "BUCKET/KEY"),
        (&["rm", "--purge", "b"], "BUCKET/KEY"),
    ] {
        let said = peer.fails(2, line);
        assert!(said.contains("it is a bucket, and has no key") && said.contains(hint), "{line:?}: {said}");
    }
    assert_eq!(peer.ok(&["ls"]), "b/x\n");
}

/// Where the environment named a peer, the usage had it as an argument that is wanted.
#[test]
fn the_usage_of_a_command_does_not_depend_on_the_environment() {
    let output = Command::new(SHOAL).args(["put", "one"]).env("SHOAL_PEER", "127.0.0.1:9").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("Usage: shoal put <SOURCE>... <TARGET>") && !said.contains("--peer"), "{said}");
}

#[test]
fn a_port_in_use_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--gateway"] {
        let other = if option == "--listen" { "--gateway" } else { "--listen" };
        let args = ["up", "--dir", dir.path().to_str().unwrap(), "--no-mdns", option, &address, other, "127.0.0.1:0"];
        let output = Command::new(SHOAL).args(args).env("SHOAL_SECRET", SECRET).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(&address) && said.contains("hint"), "{said}");
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused_with_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let peer = Peer::start(dir.path(), "peer", SECRET, &["--new"]);
    let args = ["up", "--no-mdns", "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--dir"];
    let output = Command::new(SHOAL)
        .args(args)
        .arg(&peer.dir)
        .env("SHOAL_SECRET", SECRET)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&peer.pid().to_string()), "{said}");
    assert!(peer.status().is_some(), "the first goes on");
}

#[test]
fn a_full_disk_refuses_new_data_clearly_and_still_serves_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("peer");
    std::fs::create_dir(&place).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=192m", "tmpfs"])
        .arg(&place)
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    }
    let peer = Peer::start(dir.path(), "peer", SECRET, &["--new"]);
    std::fs::write(dir.path().join("small"), vec![1u8; 1 << 20]).unwrap();
    std::fs::write(dir.path().join("large"), vec![2u8; 400 << 20]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    peer.ok(&["put", &path("small"), "b/small"]);
    // Noise is not needed: a chunk has one name, so every one of these is cut from other bytes.
    let mut large = std::fs::read(path("large")).unwrap();
    for (n, piece) in large.chunks_mut(4096).enumerate() {
        piece[..8].copy_from_slice(&n.to_le_bytes());
    }
    std::fs::write(path("large"), large).unwrap();
    let said = peer.fails(3, &["put", &path("large"), "b/large"]);
    assert!(said.contains("full") && said.contains("hint"), "{said}");
    assert_eq!(peer.ok(&["get", "b/small", "-"]).len(), 1 << 20);
    peer.fails(1, &["stat", "b/large"]);
    peer.ok(&["rm", "b/small"]);
    drop(peer);
    let _ = Command::new("umount").arg("-l").arg(&place).status();
}

/// A put that went on with the copies that others took would promise what two
/// deaths could break.
#[test]
fn a_put_is_refused_when_one_live_owner_has_no_room_and_nobody_can_stand_in() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("peer-2");
    std::fs::create_dir(&place).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=160m", "tmpfs"])
        .arg(&place)
        .stderr(Stdio::null())
        .status();
    if !mount.is_ok_and(|status| status.success()) {
        eprintln!("skipped: a small file system cannot be mounted here");
        return;
    }
    let first = Peer::start(dir.path(), "peer-1", SECRET, &["--new"]);
    let second = Peer::start(dir.path(), "peer-2", SECRET, &["--join", &first.address]);
    let third = Peer::start(dir.path(), "peer-3", SECRET, &["--join", &first.address]);
    let mesh = Mesh { peers: vec![first, second, third], dir };
    mesh.settle();
    let mut large = vec![7u8; 96 << 20];
    for (n, piece) in large.chunks_mut(4096).enumerate() {
        piece[..8].copy_from_slice(&n.to_le_bytes());
    }
    let file = mesh.file("large", &large);
    let said = mesh.peers[0].fails(3, &["put", &file, "b/large"]);
    assert!(said.contains("full") && said.contains("hint"), "{said}");
    mesh.peers[2].fails(1, &["stat", "b/large"]);
    drop(mesh);
    let _ = Command::new("umount").arg("-l").arg(&place).status();
}

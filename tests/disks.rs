//! What goes wrong with disks, and what a user sees of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mesh::{Mesh, Peer, SECRET, SHOAL, wait};

/// The exit code that says that copies are missing or bad.
const COPIES: i32 = 4;

/// Bytes of objects that are one chunk each.
const OBJECT: usize = 1 << 20;

fn content(seed: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..OBJECT).map(|_| next()).collect()
}

/// Puts so many objects of one chunk each.
fn fill(mesh: &Mesh, objects: usize) {
    for n in 0..objects {
        mesh.file(&format!("filled/{n}.bin"), &content(n));
    }
    mesh.peers[0].ok(&["put", &mesh.path("filled/"), "b/"]);
}

/// The files of a peer's chunks.
pub(crate) fn chunk_files(peer: &Peer) -> Vec<PathBuf> {
    let shards = fs::read_dir(peer.dir.join("chunks")).unwrap().flatten();
    let files = shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten());
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.sort();
    files
}

fn flip_a_bit(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

/// What `shoal health` prints, with its exit code.
fn health(peer: &Peer) -> (Option<i32>, String) {
    let output = peer.shoal(&["health"]);
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr))
}

/// The same for programs.
fn report(peer: &Peer) -> Option<Value> {
    let output = peer.shoal(&["health", "--json"]);
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn health_counts_every_copy_and_tells_what_a_dead_member_takes_with_it() {
    let mut mesh = Mesh::of(3);
    fill(&mesh, 4);
    mesh.peers[1].ok(&["cp", "b/0.bin", "b/again.bin"]);
    let (code, said) = health(&mesh.peers[2]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.starts_with("Everything is at full replication: 4 chunks, in 12 copies as wanted, 3 members."),
        "{said}"
    );
    let well = report(&mesh.peers[0]).unwrap();
    assert_eq!((&well["names"], &well["chunks"], &well["copies"]), (&5.into(), &4.into(), &12.into()), "{well}");
    mesh.peers[0].ok(&["health", "--quick"]);

    mesh.peers[2].kill();
    let ill = wait("the dead one's copies to be missed", || {
        report(&mesh.peers[0]).filter(|report| report["copies_missing"] == 4)
    });
    assert_eq!((&ill["full"], &ill["copies"], &ill["chunks_lost"]), (&false.into(), &8.into(), &0.into()), "{ill}");
    // Another member may hold it alive a little longer.
    let missing = "Not everything is at full replication: 4 copies are missing (4.0 MiB)";
    let said = wait("its death to be known to another member", || {
        let (code, said) = health(&mesh.peers[1]);
        let is_known = code == Some(COPIES) && said.contains("! peer-3 is away") && said.contains(missing);
        is_known.then_some(said)
    });
    assert!(said.contains("4 copies (4.0 MiB) that belong to peer-3, which is away"), "{said}");
    assert_eq!(mesh.peers[0].shoal(&["health", "--quick"]).status.code(), Some(COPIES));
}

#[test]
fn what_has_no_copy_left_is_lost_and_the_objects_that_need_it_are_named() {
    let mesh = Mesh::of(1);
    fill(&mesh, 3);
    let peer = &mesh.peers[0];
    let victim = chunk_files(peer)[0].clone();
    let bytes = fs::read(&victim).unwrap();
    let name = (0..3).find(|n| content(*n) == bytes).map(|n| format!("b/{n}.bin")).unwrap();
    fs::remove_file(&victim).unwrap();
    // A copy counts until somebody reads it in vain: that is what a scrub is for.
    let scrub = peer.shoal(&["scrub", "--json"]);
    let found: Value = serde_json::from_slice(&scrub.stdout).unwrap();
    assert_eq!((&found["copies"], &found["bad"], &found["mended"]), (&3.into(), &1.into(), &0.into()), "{found}");
    assert_eq!(scrub.status.code(), Some(COPIES));
    let (code, said) = health(peer);
    assert_eq!(code, Some(COPIES), "{said}");
    assert!(said.starts_with("Data is lost: 1 chunks have no copy left, and 1 objects need them."), "{said}");
    assert!(said.contains(&format!("lost     {name}")), "{said}");
    let complaint = peer.fails(3, &["get", &name, "-"]);
    assert!(complaint.contains("has no whole copy on any reachable peer"), "{complaint}");
    assert!(peer.fails(3, &["cat", &name]).contains("put the object again"));

    // It was taken to be there, as its name is.
    let again = peer.shoal(&["put", &mesh.path("filled/"), "b/", "--resume"]);
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(again.status.success() && said.contains("; 2 objects there already"), "{said}");
    assert!(peer.shoal(&["get", &name, "-"]).stdout == bytes);
    assert_eq!(report(peer).unwrap()["chunks_lost"], 0);
}

#[test]
fn rot_is_found_and_mended_by_a_scrub_and_told_by_health() {
    let mesh = Mesh::of(3);
    fill(&mesh, 6);
    let files = chunk_files(&mesh.peers[1]);
    let rotten = [&files[1], &files[4]];
    rotten.iter().for_each(|file| flip_a_bit(file));
    // One whose file became something else reads as little.
    let strange = &files[2];
    fs::remove_file(strange).unwrap();
    fs::create_dir(strange).unwrap();

    // Asked at another member, of all.
    let found = mesh.peers[0].json(&["scrub", "--all", "--json", "--rate", "1GiB"]);
    assert_eq!((&found["copies"], &found["bad"], &found["mended"]), (&18.into(), &3.into(), &3.into()), "{found}");
    assert_eq!((&found["members"][1]["name"], &found["members"][1]["bad"]), (&"peer-2".into(), &3.into()));
    assert_eq!(found["bytes"], 18 * OBJECT);
    let again = mesh.peers[0].ok(&["scrub", "peer-2"]);
    assert!(again.contains("6 copies read (6.0 MiB), all whole"), "{again}");
    for file in rotten.into_iter().chain([strange]) {
        let bytes = fs::read(file).unwrap();
        assert!((0..6).any(|n| content(n) == bytes), "{} is whole again", file.display());
    }
    let (code, said) = health(&mesh.peers[2]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("! peer-2 has found 3 bad copies since it started"), "{said}");
    let report = report(&mesh.peers[0]).unwrap();
    assert_eq!(report["members"][1]["last_scrub"]["bad"], 0, "the last one found nothing: {report}");
    assert_eq!(report["members"][0]["last_scrub"]["copies"], 6, "{report}");
}

#[test]
fn a_scrub_keeps_to_its_rate_is_one_at_a_time_and_stops_when_interrupted() {
    let mesh = Mesh::of(2);
    fill(&mesh, 16);
    // More than four minutes for 16 MiB: longer than anybody waits here.
    let begin = || {
        Command::new(SHOAL)
            .args(["scrub", "peer-2", "--rate", "64KiB"])
            .env("SHOAL_PEER", &mesh.peers[0].gateway)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut slow = begin();
    let refused = wait("the slow one to have begun", || {
        // It may have come while the other one was at it, and been refused itself.
        if slow.try_wait().unwrap().is_some() {
            slow = begin();
        }
        let other = mesh.peers[0].shoal(&["scrub", "peer-2", "--rate", "1GiB"]);
        let said = String::from_utf8_lossy(&other.stdout).into_owned();
        said.contains("being scrubbed already").then_some(other.status.code())
    });
    assert_eq!(refused, Some(3));
    assert!(slow.try_wait().unwrap().is_none(), "it goes on");
    Command::new("kill").args(["-INT", &slow.id().to_string()]).status().unwrap();
    assert_eq!(slow.wait().unwrap().code(), Some(130));
    wait("the peer to have stopped", || {
        mesh.peers[1].shoal(&["scrub", "--rate", "1GiB"]).status.success().then_some(())
    });
}

#[test]
fn a_peer_whose_data_directory_vanishes_stops_and_says_why_and_others_make_up_for_it() {
    let mut mesh = Mesh::of(4);
    fill(&mesh, 6);
    let dir = mesh.peers[3].dir.clone();
    fs::rename(&dir, dir.with_extension("elsewhere")).unwrap();
    assert_eq!(mesh.peers[3].ended(), Some(3));
    let log = fs::read_to_string(mesh.dir.path().join("peer-4.log")).unwrap();
    assert!(log.contains("its data directory is gone") && log.contains("is not there any more"), "{log}");
    // Three are left for three copies of everything, once they have stood in.
    let repaired = wait("others to hold what it held", || {
        report(&mesh.peers[0]).filter(|it| it["members"][3]["away"] == true && it["copies_missing"] == 0)
    });
    assert_eq!((&repaired["copies"], &repaired["full"]), (&18.into(), &false.into()), "{repaired}");
    wait("its death to be known to another member", || {
        let (code, said) = health(&mesh.peers[1]);
        (code == Some(COPIES) && said.contains("! peer-4 is away")).then_some(())
    });
}

/// A small file system of its own, unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    fn mount(dir: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(&dir);
        let status = mount.stderr(Stdio::null()).status().ok()?;
        status.success().then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_by_put_status_and_health_and_what_is_there_is_still_read() {
    let mut mesh = Mesh::of(2);
    // The reserve is 128 MiB: so much room is for two objects or three.
    let Some(_small) = Small::mount(mesh.dir.path().join("peer-3"), "140m") else {
        eprintln!("not tried: mounting a file system is not allowed here");
        return;
    };
    let join = mesh.peers[0].address.clone();
    mesh.peers.push(Peer::start(mesh.dir.path(), "peer-3", SECRET, &["--join", &join]));
    mesh.settle();
    fill(&mesh, 1);
    let large: Vec<u8> = (1..=16).flat_map(content).collect();
    let file = mesh.file("large.bin", &large);
    let complaint = mesh.peers[0].fails(3, &["put", &file, "b/large.bin"]);
    assert!(complaint.contains("the disk of peer") && complaint.contains("is full"), "{complaint}");
    assert!(complaint.contains("hint: ") && complaint.contains("add a peer"), "{complaint}");
    assert!(mesh.peers[1].fails(1, &["stat", "b/large.bin"]).contains("there is no object"), "nothing was stored");

    let (code, said) = health(&mesh.peers[1]);
    assert_eq!(code, Some(0), "what is there has its copies: {said}");
    assert!(said.contains("! the disk of peer-3 is full (") && said.contains("make room on it"), "{said}");
    let status = mesh.peers[2].ok(&["status"]);
    assert!(status.contains("! the disk of this peer is full"), "{status}");
    let got = mesh.path("got");
    mesh.peers[2].ok(&["get", "b/0.bin", &got]);
    assert!(fs::read(&got).unwrap() == content(0));
    mesh.peers[0].ok(&["rm", "b/0.bin"]);
}

/// A library that goes between a process and its syncs: they fail once the file exists.
#[cfg(target_os = "linux")]
const SYNCS_FAIL: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_by(const char *name, int file) {
    const char *once = getenv("SYNCS_FAIL_ONCE_THIS_EXISTS");
    if (once && access(once, F_OK) == 0) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file) { return sync_by("fsync", file); }
int fdatasync(int file) { return sync_by("fdatasync", file); }
"#;

/// The C compiler that linked this test makes the library.
#[cfg(target_os = "linux")]
fn syncs_fail(mesh: &Mesh) -> String {
    let (source, library) = (mesh.file("syncs_fail.c", SYNCS_FAIL.as_bytes()), mesh.path("libsyncs_fail.so"));
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o", &library, &source, "-ldl"]).status().unwrap();
    assert!(made.success());
    library
}

#[test]
#[cfg(target_os = "linux")]
fn a_peer_whose_disk_fails_to_sync_takes_no_more_writes_says_so_and_what_was_acknowledged_is_read() {
    let mut mesh = Mesh::of(3);
    let (library, fails) = (syncs_fail(&mesh), mesh.path("now"));
    let join = mesh.peers[0].address.clone();
    let environment = [("LD_PRELOAD", library.as_str()), ("SYNCS_FAIL_ONCE_THIS_EXISTS", fails.as_str())];
    mesh.peers.push(Peer::start_among(mesh.dir.path(), "peer-4", SECRET, &["--join", &join], &environment));
    mesh.settle();
    fill(&mesh, 6);
    let before = chunk_files(&mesh.peers[3]);
    assert!(!before.is_empty(), "it keeps copies of what was put while it could");

    fs::write(&fails, "").unwrap();
    // Whoever asks: some of these are to be on that disk.
    let mut acknowledged: Vec<usize> = (0..6).collect();
    for n in 6..24 {
        let file = mesh.file(&format!("later/{n}.bin"), &content(n));
        let put = mesh.peers[n % 4].shoal(&["put", &file, &format!("b/{n}.bin")]);
        let complaint = String::from_utf8_lossy(&put.stderr).into_owned();
        if put.status.success() {
            acknowledged.push(n);
        } else {
            assert!(complaint.contains("hint: "), "{complaint}");
        }
    }
    let told = wait("the failure to be told", || {
        let (code, said) = health(&mesh.peers[0]);
        said.contains("! the disk of peer-4 failed").then_some((code, said))
    });
    assert!(told.1.contains("could not be synced"), "{}", told.1);
    assert!(mesh.peers[3].ok(&["status"]).contains("! the disk of this peer failed"));
    // A file may be there under its name; none is counted on that was not synced.
    fs::remove_file(&fails).unwrap();
    let seen = chunk_files(&mesh.peers[3]);
    let file = mesh.file("last.bin", &content(99));
    let _ = mesh.peers[3].shoal(&["put", &file, "b/last.bin"]);
    assert_eq!(chunk_files(&mesh.peers[3]), seen, "a failed sync is final, though the next one would go well");

    mesh.peers[3].kill();
    for n in acknowledged {
        let got = mesh.path("got");
        mesh.peers[n % 3].ok(&["get", &format!("b/{n}.bin"), &got]);
        assert!(fs::read(&got).unwrap() == content(n), "b/{n}.bin");
    }
}

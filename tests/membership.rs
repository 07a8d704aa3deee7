//! Who is in the mesh, and with what share, is changed while it runs.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mesh::{Mesh, Peer, SECRET, SHOAL, complained, wait};

fn member<'a>(status: &'a Value, name: &str) -> Option<&'a Value> {
    status["members"].as_array()?.iter().find(|member| member["name"] == name)
}

fn in_layout(peer: &Peer, name: &str) -> Option<Value> {
    let status = peer.status()?;
    let members = status["layout"]["members"].as_array()?;
    members.iter().find(|member| member["name"] == name).cloned()
}

#[test]
fn an_invite_is_all_that_another_machine_needs() {
    let mesh = Mesh::of(1);
    let (first, dir) = (&mesh.peers[0], mesh.dir.path());
    let printed = first.ok(&["invite", "--dir", first.dir.to_str().unwrap()]);
    let invite = printed.trim();
    assert_eq!(printed.lines().count(), 1);
    let up = |name: &str| {
        let mut command = Command::new(SHOAL);
        command.args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--gateway",
            "127.0.0.1:0",
            "--no-mdns",
            "--name",
            name,
            "--dir",
        ]);
        command.arg(dir.join(name)).env_remove("SHOAL_SECRET").env_remove("SHOAL_PEER");
        command.stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::piped());
        command
    };
    let mut pasted = up("pasted").arg("--invite").spawn().unwrap();
    writeln!(pasted.stdin.take().unwrap(), "{invite}").unwrap();
    let mut given = up("given").args(["--invite", invite]).spawn().unwrap();
    let joined = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait("both to be members", || {
            let status = first.status()?;
            let there = |name| member(&status, name).is_some_and(|member| member["in_layout"] == true);
            (there("pasted") && there("given")).then_some(())
        });
        let arguments = std::fs::read(format!("/proc/{}/cmdline", given.id())).unwrap();
        assert!(!String::from_utf8_lossy(&arguments).contains("shoal-invite"), "others on the machine can read it");
    }));
    for child in [&mut pasted, &mut given] {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    joined.unwrap();
    let told = first.fails(2, &["up", "--dir", &mesh.path("other"), "--invite", &invite[..invite.len() - 3]]);
    assert!(told.contains("not whole"), "{told}");
}

#[test]
fn weight_and_zone_change_while_the_mesh_runs_and_outlive_a_restart() {
    let mut mesh = Mesh::of(3);
    let said = mesh.peers[0].ok(&["weight", "300", "peer-2"]);
    assert!(said.starts_with("peer-2 has "), "{said}");
    mesh.peers[1].ok(&["zone", "rack-7"]);
    for peer in &mesh.peers {
        wait("all to know", || {
            let seen = in_layout(peer, "peer-2")?;
            (seen["weight"] == 300 && seen["zone"] == "rack-7").then_some(())
        });
    }
    mesh.peers[1].kill();
    mesh.restart(1);
    mesh.settle();
    let seen = in_layout(&mesh.peers[0], "peer-2").unwrap();
    assert_eq!((&seen["weight"], &seen["zone"]), (&300.into(), &"rack-7".into()));
    let told = mesh.peers[0].fails(1, &["weight", "100", "nobody"]);
    assert!(told.contains("shoal status"), "{told}");
}

#[test]
fn who_leaves_hands_its_data_over_and_the_last_cannot() {
    let mut mesh = Mesh::with(4, &["--replicas", "2"]);
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let file = mesh.file("f", &content);
    for n in 0..6 {
        mesh.peers[n % 4].ok(&["put", &file, &format!("b/{n}")]);
    }
    let said = mesh.peers[0].ok(&["leave", "peer-4"]);
    assert!(said.contains("peer-4 has left"), "{said}");
    // It is asked itself, and another is told to stop, which leaves first.
    mesh.peers[2].ok(&["leave"]);
    for left in [3, 2] {
        assert_eq!(mesh.peers[left].ended(), Some(0));
    }
    mesh.peers.truncate(2);
    mesh.settle();
    for n in 0..6 {
        let path = mesh.path("back");
        mesh.peers[1].ok(&["get", &format!("b/{n}"), &path]);
        assert!(std::fs::read(path).unwrap() == content);
    }
    let (first, second) = mesh.peers.split_at_mut(1);
    second[0].ok(&["leave"]);
    let told = first[0].fails(1, &["leave"]);
    assert!(told.contains("nobody is there to take over"), "{told}");
    assert_eq!(first[0].ok(&["ls", "b/"]).lines().count(), 6);
}

#[test]
fn a_peer_that_drains_leaves_when_it_is_stopped_and_joins_again_as_it_was() {
    let mut mesh = Mesh::with(3, &["--replicas", "2", "--drain"]);
    let file = mesh.file("f", b"kept");
    mesh.peers[2].ok(&["put", &file, "b/f"]);
    assert_eq!(mesh.peers[2].terminate(), Some(0));
    wait("the others to go on without it", || in_layout(&mesh.peers[0], "peer-3").is_none().then_some(()));
    assert_eq!(mesh.peers[0].ok(&["get", "b/f", "-"]), "kept");
    mesh.restart(2);
    mesh.settle();
    assert_eq!(mesh.peers[2].ok(&["get", "b/f", "-"]), "kept");
}

#[test]
fn the_doctor_looks_at_the_machine_and_asks_the_others() {
    let mut mesh = Mesh::of(3);
    let dir = mesh.peers[0].dir.to_str().unwrap().to_owned();
    let dir = dir.as_str();
    // A member that is slow to answer is told as wrong, once.
    let findings: Value = wait("all members to answer in time", || {
        let looked = mesh.peers[0].shoal(&["doctor", "--json", "--dir", dir]);
        looked.status.success().then(|| serde_json::from_slice(&looked.stdout).unwrap())
    });
    let findings = findings.as_array().unwrap();
    let about = |what: &str| findings.iter().filter(|finding| finding["about"] == what).count();
    assert!(about("disk") == 3 && about("files") == 1 && about("mesh") >= 1, "{findings:?}");
    for other in ["peer-2", "peer-3"] {
        let says = |finding: &&Value| finding["what"].as_str().unwrap().starts_with(&format!("{other} answers in"));
        assert!(findings.iter().any(|finding| says(&finding)), "{findings:?}");
    }
    assert!(findings.iter().all(|finding| finding["grade"] != "wrong"));

    mesh.peers[1..].iter_mut().for_each(Peer::kill);
    let words = wait("too few to be told as wrong", || {
        let looked = mesh.peers[0].shoal(&["doctor", "--dir", dir]);
        let words = String::from_utf8(looked.stdout).unwrap();
        (looked.status.code() == Some(1) && words.contains("1 of 3 members are alive")).then_some(words)
    });
    assert!(words.contains("too few to decide") && !words.contains("others make copies"), "{words}");
    // Those who are there again are not told as refusing for ever.
    mesh.restart(1);
    mesh.restart(2);
    wait("nothing to be wrong", || {
        let notices = mesh.peers[0].status()?["notices"].as_array()?.len();
        (notices == 0).then_some(())
    });
}

/// Two meshes of two with one secret; then a peer of the second finds the first.
fn met(with_data: [bool; 2]) -> [Mesh; 2] {
    let mut meshes = [Mesh::of(2), Mesh::of(2)];
    for (mesh, with_data) in meshes.iter().zip(with_data) {
        if with_data {
            let file = mesh.file("f", b"kept");
            mesh.peers[0].ok(&["put", &file, "b/f"]);
        }
    }
    let [first, second] = &mut meshes;
    second.peers[1].kill();
    let join = ["--join", &first.peers[1].address];
    second.peers[1] = Peer::start(second.dir.path(), "peer-2", SECRET, &join);
    meshes
}

#[test]
fn a_mesh_without_data_becomes_part_of_one_with_data_that_it_meets() {
    let [first, second] = met([true, false]);
    for peer in first.peers.iter().chain(&second.peers) {
        wait("one mesh of four", || {
            let layout = peer.status()?["layout"].clone();
            (layout["members"].as_array()?.len() == 4 && layout["joint"] == false).then_some(())
        });
        assert_eq!(peer.ok(&["get", "b/f", "-"]), "kept");
    }
}

#[test]
fn two_meshes_with_data_stay_apart_and_both_say_so() {
    let [first, second] = met([true, true]);
    for peer in first.peers.iter().chain(&second.peers) {
        wait("it to say what is wrong", || {
            let status = peer.status()?;
            let says = |notice: &Value| notice.as_str().is_some_and(|said| said.contains("both hold data"));
            let members = status["layout"]["members"].as_array()?.len();
            (status["notices"].as_array()?.iter().any(says) && members == 2).then_some(())
        });
        assert_eq!(peer.ok(&["get", "b/f", "-"]), "kept");
    }
}

#[test]
fn who_joins_without_a_number_of_copies_has_that_of_the_mesh_and_another_one_is_refused() {
    let mut mesh = Mesh::with(1, &["--replicas", "2"]);
    let join = mesh.peers[0].address.clone();
    for name in ["peer-2", "peer-3"] {
        mesh.peers.push(Peer::start(mesh.dir.path(), name, SECRET, &["--join", &join]));
    }
    mesh.settle();
    let file = mesh.file("f", &[7; 100_000]);
    mesh.peers[2].ok(&["put", &file, "b/f"]);
    assert_eq!(mesh.peers[1].json(&["health", "--json"])["replicas"], 2);
    for peer in &mesh.peers {
        assert_eq!(peer.status().unwrap()["layout"]["replicas"], 2);
        assert!(!peer.dir.join("replicas").exists());
    }

    // One that has nothing yet is refused by what it hears of the mesh.
    let up = |dir: &str, extra: &[&str]| {
        let mut args = vec!["up", "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--no-mdns", "--dir", dir];
        args.extend(extra);
        let mut command = Command::new(SHOAL);
        command.args(&args).env("SHOAL_SECRET", SECRET).stdin(Stdio::null());
        complained(1, &args, command.output().unwrap())
    };
    let told = up(&mesh.path("other"), &["--join", &join, "--replicas", "3"]);
    for said in ["keeps 2 copies of each chunk", "started with --replicas 3", "hint: leave --replicas out, or give 2"] {
        assert!(told.contains(said), "{told}");
    }
    assert_eq!(mesh.peers[0].status().unwrap()["layout"]["members"].as_array().unwrap().len(), 3);
    // One that is of the mesh already does not start, nor does its founder.
    for at in [1, 0] {
        mesh.peers[at].kill();
        let told = up(mesh.peers[at].dir.to_str().unwrap(), &["--replicas", "3"]);
        assert!(told.contains("keeps 2 copies") && told.contains("or give 2"), "{told}");
        mesh.restart(at);
        // Each is to know where the others are before the next one goes.
        mesh.settle();
    }
    assert_eq!(mesh.peers[0].shoal(&["cat", "b/f"]).stdout, [7; 100_000]);
}

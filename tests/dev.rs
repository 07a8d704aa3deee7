//! `shoal dev`: a mesh for the time of a command.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::mesh::{SHOAL, alone, said};

#[test]
fn a_command_runs_against_a_mesh_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["dev", "-n", "3", "--", SHOAL, "status", "--json"];
    let status: Value = serde_json::from_str(&said(&args, alone(dir.path(), &args, None))).unwrap();
    let members = status["members"].as_array().unwrap();
    assert_eq!(members.len(), 3);
    for member in members {
        assert_eq!(member["state"], "alive");
        for field in ["id", "name", "zone", "version"] {
            assert!(member[field].is_string(), "{field} in {member}");
        }
        assert!(member["weight"].is_number() && member["addresses"].is_array() && member["self"].is_boolean());
        // They are over now, every one.
        let pid = member["pid"].as_u64().expect("it runs on this machine");
        assert!(!is_alive(pid), "peer {pid} outlived its mesh");
    }
    assert!(status["layout"]["version"].is_number());
}

fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

#[test]
fn the_exit_code_is_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let output = alone(dir.path(), &["dev", "-n", "1", "--", "sh", "-c", "exit 7"], None);
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_peer_that_the_command_kills_stays_dead() {
    let dir = tempfile::tempdir().unwrap();
    let script = r#"
        victim=$("$SHOAL" status --json | tr ',{' '\n\n' | grep '"pid"' | tail -1 | tr -dc 0-9)
        own=$("$SHOAL" status --json | tr -d '\n ' | grep -o '"self":true[^}]*"pid":[0-9]*' | tr -dc 0-9)
        if [ "$victim" = "$own" ]; then
            victim=$("$SHOAL" status --json | tr ',{' '\n\n' | grep '"pid"' | head -1 | tr -dc 0-9)
        fi
        kill -9 "$victim"
        for n in $(seq 600); do
            "$SHOAL" status --json | grep -q '"dead"' && exit 0
            sleep 0.1
        done
        exit 1
    "#;
    let output = Command::new(SHOAL)
        .args(["dev", "-n", "3", "--", "sh", "-c", script])
        .current_dir(dir.path())
        .env("SHOAL", SHOAL)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_mesh_with_a_place_finds_its_data_again() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("place");
    std::fs::write(dir.path().join("f"), "kept").unwrap();
    let place = place.to_str().unwrap();
    let put = ["dev", "-n", "3", "--dir", place, "--", SHOAL, "put", "f", "b/f"];
    said(&put, alone(dir.path(), &put, None));
    let get = ["dev", "-n", "3", "--dir", place, "--", SHOAL, "get", "b/f", "-"];
    assert_eq!(said(&get, alone(dir.path(), &get, None)), "kept");
}

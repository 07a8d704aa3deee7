//! `shoal bench store`: what it prints. No test claims a speed.

use std::fs;

use serde_json::Value;

use crate::mesh::{alone, said};

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("{field} is no number in {value}"))
}

fn check_above_zero(value: &Value, fields: &[&str]) {
    for field in fields {
        assert!(number(value, field) > 0.0, "{field} in {value}");
    }
}

fn check_pace(pace: &Value) {
    check_above_zero(pace, &["operations", "per_second", "p50_ms", "p99_ms"]);
    assert!(number(pace, "p50_ms") <= number(pace, "p99_ms"), "{pace}");
}

fn check_ratio(ratio: f64, ours: f64, bound: f64) {
    assert!((ratio - ours / bound).abs() < 1e-9 * ratio, "{ratio} is not {ours} / {bound}");
}

#[test]
fn the_store_is_told_in_figures_beside_those_of_the_machine() {
    let dir = tempfile::tempdir().unwrap();
    let args = "bench store --bytes 32MiB --seconds 1 --names 200 --peers 1,3 --json --dir";
    let args: Vec<&str> = args.split(' ').chain(dir.path().to_str()).collect();
    let text = said(&args, alone(dir.path(), &args, None));
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [machine, meshes @ ..] = lines.as_slice() else { panic!("nothing was printed") };

    assert_eq!((&machine["what"], &machine["bytes"]), (&"machine".into(), &(32 << 20).into()));
    let speeds = ["copy", "read", "blake3", "loopback"].map(|what| format!("{what}_mb_per_second"));
    check_above_zero(machine, &speeds.each_ref().map(String::as_str));
    check_pace(&machine["sync"]);

    let shape = |mesh: &Value| {
        let of = |what: &str| mesh[what].as_u64().unwrap();
        (mesh["synced"] == true, mesh["direct"] == true, of("peers"), of("replicas"))
    };
    let shapes: Vec<_> = meshes.iter().map(shape).collect();
    let of = |synced, direct| [(1, 1), (3, 1), (3, 3)].map(|(peers, replicas)| (synced, direct, peers, replicas));
    assert_eq!(shapes, [of(true, false), of(true, true), of(false, false)].concat());
    for mesh in meshes {
        assert_eq!((&mesh["what"], &mesh["names"]), (&"mesh".into(), &200.into()));
        check_above_zero(mesh, &["put_mb_per_second", "get_mb_per_second", "scrub_mb_per_second", "names_per_second"]);
        check_ratio(number(mesh, "put_ratio"), number(mesh, "put_mb_per_second"), number(mesh, "copy_mb_per_second"));
        check_ratio(
            number(mesh, "get_ratio"),
            number(mesh, "get_mb_per_second"),
            number(machine, "read_mb_per_second"),
        );
        for pace in ["small_put", "small_get", "swap", "swap_contended"] {
            check_pace(&mesh[pace]);
        }
        let resident = mesh["resident_bytes"].as_array().unwrap();
        assert_eq!(resident.len() as u64, mesh["peers"].as_u64().unwrap());
        assert!(resident.iter().all(|bytes| bytes.as_u64().unwrap() > 0), "{mesh}");
        // Not told by every system; where it is, no copy is made without being written.
        for written in ["written_bytes_per_byte", "written_bytes_per_small_put"] {
            assert!(mesh[written].is_null() || number(mesh, written) > 0.0, "{mesh}");
        }
        assert!(mesh["repair"].is_null(), "nobody was killed: {mesh}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left behind");
}

//! Who may use whom: the way of the data is one way, and adapters do not see
//! each other.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate, and which of ours it may depend on (tests apart).
const ALLOWED: [(&str, &[&str]); 15] = [
    ("shoal-types", &[]),
    ("shoal-membership", &["shoal-types"]),
    ("shoal-placement", &["shoal-types"]),
    ("shoal-register", &["shoal-types"]),
    ("shoal-job", &["shoal-types"]),
    ("shoal-ports", &["shoal-types"]),
    ("shoal-net", &["shoal-types", "shoal-ports"]),
    ("shoal-store", &["shoal-types", "shoal-ports"]),
    ("shoal-engine", &["shoal-types", "shoal-ports"]),
    (
        "shoal-runtime",
        &["shoal-types", "shoal-ports", "shoal-membership", "shoal-placement", "shoal-register", "shoal-job"],
    ),
    ("shoal-gateway", &["shoal-types", "shoal-runtime"]),
    (
        "shoal",
        &[
            "shoal-types",
            "shoal-placement",
            "shoal-ports",
            "shoal-net",
            "shoal-store",
            "shoal-engine",
            "shoal-runtime",
            "shoal-gateway",
            "shoal-sim",
        ],
    ),
    (
        "shoal-sim",
        &[
            "shoal-types",
            "shoal-ports",
            "shoal-membership",
            "shoal-placement",
            "shoal-register",
            "shoal-job",
            "shoal-store",
            "shoal-runtime",
            "shoal-engine",
        ],
    ),
    (
        "shoal-fuzz",
        &[
            "shoal-types",
            "shoal-membership",
            "shoal-placement",
            "shoal-register",
            "shoal-job",
            "shoal-net",
            "shoal-store",
        ],
    ),
    ("shoal-examples", &["shoal-types", "shoal-sim", "shoal-placement", "shoal-register", "shoal-job"]),
];

/// Packages that only one crate may use.
const ONLY: [(&str, &[&str]); 4] = [
    ("libp2p", &["shoal-net"]),
    ("ractor", &["shoal-runtime"]),
    ("datafusion", &["shoal-engine"]),
    ("redb", &["shoal-store"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null()).map(name);
            (name(package), normal.collect())
        })
        .collect()
}

#[test]
fn every_crate_uses_only_those_that_it_may() {
    let found = dependencies();
    let known: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(found.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "the list of crates has changed");
    for (name, allowed) in ALLOWED {
        for dependency in found[name].iter().filter(|dependency| known.contains(dependency.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not use {dependency}");
        }
    }
}

#[test]
fn each_foreign_world_has_one_door() {
    for (name, dependencies) in dependencies() {
        for (package, users) in ONLY {
            assert!(!dependencies.contains(package) || users.contains(&name.as_str()), "{name} may not use {package}");
        }
    }
}

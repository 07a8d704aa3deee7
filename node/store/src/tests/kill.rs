//! A process that writes is killed in the middle: what it had said is on disk is there.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;

use shoal_ports::Store;
use shoal_types::RegisterKey;

use super::{chunk, config, entry};
use crate::{LocalDisk, LocalStore};

const DIR: &str = "SHOAL_STORE_TEST_DIR";
const FIRST: &str = "SHOAL_STORE_TEST_FIRST";

/// Not a test by itself: what the killed process runs.
#[test]
#[ignore = "run by the test below, in a process of its own"]
fn writer() {
    let (Ok(dir), Ok(first)) = (std::env::var(DIR), std::env::var(FIRST)) else { return };
    let store = LocalStore::open(Arc::new(LocalDisk::open(dir).unwrap()), config()).unwrap();
    for n in first.parse::<u64>().unwrap().. {
        let (id, bytes) = chunk(n);
        store.chunk_put(id, &bytes).unwrap();
        store.register_put(&[entry("b/counter", n).into(), entry(&format!("b/{n}"), n).into()]).unwrap();
        writeln!(std::io::stdout(), "done {n}").unwrap();
    }
}

#[test]
fn everything_acknowledged_before_a_kill_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 1..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "tests::kill::writer", "--ignored", "--nocapture"])
            .env(DIR, dir.path())
            .env(FIRST, (acknowledged + 1).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("done ").and_then(|n| n.parse::<u64>().ok()) {
                acknowledged = acknowledged.max(n);
                seen += 1;
            }
            // Lines that were still on their way when it was killed count, too.
            if seen == 10 * round {
                child.kill().unwrap();
            }
        }
        assert!(seen >= 10 * round, "the writer ended by itself");
        child.wait().unwrap();
        let store = LocalStore::open(Arc::new(LocalDisk::open(dir.path()).unwrap()), config()).unwrap();
        for n in 1..=acknowledged {
            let (id, bytes) = chunk(n);
            assert_eq!(store.chunk_get(id, None).unwrap().unwrap(), bytes, "chunk {n}");
            let key = RegisterKey::Object(format!("b/{n}").parse().unwrap());
            assert_eq!(store.register_get(&key).unwrap(), Some(entry(&format!("b/{n}"), n)));
        }
        let counter = store.register_get(&RegisterKey::Object("b/counter".parse().unwrap())).unwrap().unwrap();
        assert!(counter.promised.counter >= acknowledged);
    }
}

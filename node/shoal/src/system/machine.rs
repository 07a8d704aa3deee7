//! The machine under the process.

use std::fs;

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

/// What people call the machine.
pub(crate) fn host_name() -> String {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let candidates = [text("/proc/sys/kernel/hostname"), text("/etc/hostname"), env("HOSTNAME")];
    candidates.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "peer".into())
}

/// The machine, hashed: equal for processes that see each other's pids. The
/// host's name is part of it, as containers made from one image may share
/// the machine's id but not their processes.
pub(crate) fn machine() -> u64 {
    let id = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let hash = blake3::hash(format!("{}\n{}", id.trim(), host_name()).as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(bytes)
}

fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

//! What the system says of the peers' processes.

use std::fs;

use crate::local_mesh::LocalMesh;

/// Bytes that the peers' writes have made dirty, those of killed peers left
/// out; `None` where the system does not say so of every one.
pub(super) fn written_bytes(mesh: &LocalMesh) -> Option<u64> {
    pids(mesh).map(|pid| value(&fs::read_to_string(format!("/proc/{pid}/io")).ok()?, "write_bytes:")).sum()
}

/// Bytes in memory of each peer.
pub(super) fn resident_bytes(mesh: &LocalMesh) -> Vec<u64> {
    let of = |pid| value(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, "VmRSS:");
    pids(mesh).filter_map(of).map(|kib| kib * 1024).collect()
}

fn pids(mesh: &LocalMesh) -> impl Iterator<Item = u32> {
    mesh.children.iter().filter_map(|child| child.pid())
}

/// The number behind `field` at the beginning of a line.
fn value(text: &str, field: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_not_taken_for_one_that_ends_alike() {
        let io = "wchar: 5\nread_bytes: 1\nwrite_bytes: 77\ncancelled_write_bytes: 3\n";
        assert_eq!(value(io, "write_bytes:"), Some(77));
        assert_eq!(value("VmHWM:\t 9 kB\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
        assert_eq!(value("cancelled_write_bytes: 3\n", "write_bytes:"), None);
        assert_eq!(value("VmRSS:", "VmRSS:"), None);
    }

    #[test]
    fn this_system_says_what_a_process_wrote() {
        let io = fs::read_to_string("/proc/self/io").unwrap();
        assert!(value(&io, "write_bytes:").is_some(), "{io}");
    }
}

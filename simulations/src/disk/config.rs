use std::time::Duration;

/// What a disk can do. A serial device: one operation at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskConfig {
    /// Each byte of a chunk's file takes the time of so many.
    pub chunk_bytes_scale: u64,
    pub capacity_bytes: u64,
    pub read_bytes_per_second: u64,
    pub write_bytes_per_second: u64,
    /// A sync of a file or a directory.
    pub sync: Duration,
    /// Before each read.
    pub seek: Duration,
}

impl Default for DiskConfig {
    /// An ordinary flash disk of one terabyte.
    fn default() -> Self {
        Self {
            chunk_bytes_scale: 1,
            capacity_bytes: 1 << 40,
            read_bytes_per_second: 500_000_000,
            write_bytes_per_second: 300_000_000,
            sync: Duration::from_millis(2),
            seek: Duration::from_micros(100),
        }
    }
}

/// How an incarnation's use of a disk ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The process is killed: what it wrote is there, synced or not.
    Process,
    /// The power goes. Of what was not synced, each write came, was lost, was
    /// torn at a sector's bound, or left only its length, and each change of
    /// a directory came or not, as the seed has it.
    Power,
}

/// What a disk did since it was made, and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiskCounters {
    /// All operations that reached the disk, also those that failed.
    pub operations: u64,
    /// Those of them that change something: what
    /// [`SimDisk::power_off_after`](super::SimDisk::power_off_after) counts.
    pub changes: u64,
    pub syncs: u64,
    pub read_bytes: u64,
    pub written_bytes: u64,
    /// Of the capacity, in whole pages.
    pub used_bytes: u64,
    /// Of the simulator's memory, in pages: less than what is used, since
    /// zeros are not kept.
    pub resident_bytes: u64,
    /// Of all operations so far, in their order, with what they wrote: equal
    /// for equal histories.
    pub digest: u64,
}

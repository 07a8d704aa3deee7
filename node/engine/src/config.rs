use std::path::PathBuf;

/// How an engine works. Start from [`EngineConfig::new`].
///
/// The two `*_bytes_target` decide into how many partitions a query is cut.
/// Answers have the same rows whatever they are, but float sums are added in
/// partition order: give every peer of a mesh the same ones.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Threads that run tasks and plan queries. The cores of the machine is a
    /// good number; at least 1.
    pub threads: usize,
    /// Outputs of tasks are kept in memory up to this many bytes, and on disk
    /// past it. A quarter of the machine's memory is a good number.
    pub exchange_memory_bytes: u64,
    /// Where outputs and operators spill. Belongs to this engine alone: it is
    /// emptied when the engine starts.
    pub spill_dir: PathBuf,
    /// Bytes that operators of one task may spill. More is [`OutOfMemory`](shoal_types::Error::OutOfMemory).
    pub task_spill_bytes_max: u64,
    /// Adjacent parts of a table are scanned together up to this many bytes.
    /// 1 to 64 MiB.
    pub scan_bytes_target: u64,
    /// A shuffle has one partition per this many bytes of the query's tables.
    pub shuffle_bytes_target: u64,
    /// Footers of Parquet files kept for the next task or query, in bytes.
    pub footer_cache_bytes: usize,
    /// Decoded fragments kept for the next task of the same stage. A fragment
    /// is some tens of KiB.
    pub fragment_cache_entries: usize,
}

impl EngineConfig {
    pub const EXCHANGE_MEMORY_BYTES: u64 = 1 << 30;
    pub const TASK_SPILL_BYTES_MAX: u64 = 100 << 30;
    pub const SCAN_BYTES_TARGET: u64 = 16 << 20;
    pub const SHUFFLE_BYTES_TARGET: u64 = 16 << 20;
    pub const FOOTER_CACHE_BYTES: usize = 64 << 20;
    pub const FRAGMENT_CACHE_ENTRIES: usize = 128;

    /// The defaults, with `threads` threads and spilling under `spill_dir`.
    pub fn new(threads: usize, spill_dir: impl Into<PathBuf>) -> Self {
        Self {
            threads: threads.max(1),
            exchange_memory_bytes: Self::EXCHANGE_MEMORY_BYTES,
            spill_dir: spill_dir.into(),
            task_spill_bytes_max: Self::TASK_SPILL_BYTES_MAX,
            scan_bytes_target: Self::SCAN_BYTES_TARGET,
            shuffle_bytes_target: Self::SHUFFLE_BYTES_TARGET,
            footer_cache_bytes: Self::FOOTER_CACHE_BYTES,
            fragment_cache_entries: Self::FRAGMENT_CACHE_ENTRIES,
        }
    }
}

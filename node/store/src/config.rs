use shoal_types::PeerId;

/// How a peer keeps its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Whose store it is: named in its errors.
    pub peer: PeerId,
    /// Bytes of the disk that chunks leave free, so that registers can still
    /// be written and objects deleted. `None`: 2 % of what is free when the
    /// store opens, but at least [`StoreConfig::RESERVE_BYTES_MIN`] and at
    /// most [`StoreConfig::RESERVE_BYTES_MAX`].
    pub reserve_bytes: Option<u64>,
    /// Memory for verified chunks of which ranges are read. Sane: the chunks
    /// that are scanned at a time. 0 reads and hashes a whole chunk for each
    /// range.
    pub cache_bytes: u64,
    /// Memory for pages of the registers' B-tree.
    pub register_cache_bytes: u64,
    /// How long a log of registers becomes before the B-tree takes it over:
    /// as much is read when the store opens, and held in memory, at most four
    /// times. Short logs write more pages, long ones take longer to take over.
    pub register_log_bytes: u64,
    /// Random, and known to nobody else: what is put shall not be able to look
    /// like a record of a log.
    pub salt: [u8; 32],
}

impl StoreConfig {
    /// Two chunks of the largest size.
    pub const RESERVE_BYTES_MIN: u64 = 128 << 20;
    pub const RESERVE_BYTES_MAX: u64 = 16 << 30;
    pub const CACHE_BYTES: u64 = 256 << 20;
    pub const REGISTER_CACHE_BYTES: u64 = 32 << 20;
    pub const REGISTER_LOG_BYTES: u64 = 8 << 20;

    /// The defaults.
    pub fn new(peer: PeerId, salt: [u8; 32]) -> Self {
        Self {
            peer,
            reserve_bytes: None,
            cache_bytes: Self::CACHE_BYTES,
            register_cache_bytes: Self::REGISTER_CACHE_BYTES,
            register_log_bytes: Self::REGISTER_LOG_BYTES,
            salt,
        }
    }

    pub(crate) fn reserve(&self, free_bytes: u64) -> u64 {
        self.reserve_bytes.unwrap_or_else(|| (free_bytes / 50).clamp(Self::RESERVE_BYTES_MIN, Self::RESERVE_BYTES_MAX))
    }
}

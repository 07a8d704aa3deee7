use serde::{Deserialize, Serialize};
use shoal_types::{MeshMoving, Moving};

/// What is being brought to its owners: copies, each one chunk for one owner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MovingView {
    /// Names that their new owners know by now, of those seen so far.
    pub names_settled: u64,
    pub names_seen: u64,
    /// Chunks that it was looked for at their owners, of those held.
    pub chunks_looked_at: u64,
    pub chunks_held: u64,
    pub copies_brought: u64,
    pub bytes_brought: u64,
    /// Known to be missing still.
    pub copies_missing: u64,
    pub bytes_missing: u64,
    /// For how long it has been going on.
    pub since_seconds: f64,
    /// Bytes brought a second since it began, and how long what is known to be
    /// missing takes at that rate; `null` while that cannot be told.
    pub bytes_per_second: Option<u64>,
    pub left_seconds: Option<f64>,
}

/// The same of all peers together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeshMovingView {
    #[serde(flatten)]
    pub all: MovingView,
    /// Peers that bring something, and live ones that did not say in time.
    pub peers: u32,
    pub silent: u32,
}

impl MovingView {
    /// Copies that were missing, as far as is known, brought or not.
    pub fn copies(&self) -> u64 {
        self.copies_brought.saturating_add(self.copies_missing)
    }

    pub fn bytes(&self) -> u64 {
        self.bytes_brought.saturating_add(self.bytes_missing)
    }

    /// Whether more may be found missing, as not everything is looked at yet.
    pub fn may_grow(&self) -> bool {
        self.chunks_looked_at < self.chunks_held
    }
}

impl From<&Moving> for MovingView {
    fn from(moving: &Moving) -> Self {
        let Moving { names_settled, names_seen, chunks_looked_at, chunks_held, .. } = *moving;
        let Moving { copies_brought, bytes_brought, copies_missing, bytes_missing, since_ms, .. } = *moving;
        Self {
            names_settled,
            names_seen,
            chunks_looked_at,
            chunks_held,
            copies_brought,
            bytes_brought,
            copies_missing,
            bytes_missing,
            since_seconds: since_ms as f64 / 1e3,
            bytes_per_second: moving.bytes_per_second(),
            left_seconds: moving.left_ms().map(|ms| ms as f64 / 1e3),
        }
    }
}

impl From<&MeshMoving> for MeshMovingView {
    fn from(mesh: &MeshMoving) -> Self {
        Self { all: MovingView::from(&mesh.all), peers: mesh.peers, silent: mesh.silent }
    }
}

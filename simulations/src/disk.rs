//! The disk of a simulated host.
//!
//! ```text
//!   LocalStore ─▶ Mount (one incarnation) ─▶ SimDisk (outlives it)
//!                                              Names    entries: now, durable, and the changes between
//!                                              Content  pages:   now, synced,  and the changes between
//! ```
//!
//! A power cut does to the changes between what its [`Luck`](luck::Luck)
//! says. What is synced is in memory once, without its zeros.

mod chunk_file;
mod config;
mod content;
mod luck;
mod mount;
mod names;
mod pages;
mod state;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shoal_ports::Disk;

pub(crate) use chunk_file::chunk_at;
pub use config::{DiskConfig, DiskCounters, Outage};
use mount::Mount;
use state::State;

/// The disk of one simulated host: it keeps what was synced, and fails as it
/// is told. All its choices come from its seed.
///
/// A clone is the same disk. It outlives the incarnations of its host, each of
/// which [mounts](SimDisk::mount) it.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64, config: DiskConfig) -> Self {
        Self(Arc::new(Mutex::new(State::new(seed, config))))
    }

    /// The disk for one incarnation of its host. It ends with the next
    /// [`SimDisk::outage`] or mount: its handles fail from then on.
    pub fn mount(&self) -> Arc<dyn Disk> {
        let number = self.state().mount();
        Arc::new(Mount::new(self.clone(), number))
    }

    /// Ends the present mount.
    pub fn outage(&self, outage: Outage) {
        self.state().end(outage);
    }

    /// The power goes in the middle of the change that follows so many more
    /// (0: the next one), which fails; a write is torn, a sync has not
    /// happened. Changes are what [`DiskCounters::changes`] counts.
    pub fn power_off_after(&self, changes: u64) {
        self.state().power_off_after(changes);
    }

    /// Whether the power went, until the next mount.
    pub fn is_off(&self) -> bool {
        self.state().is_off()
    }

    /// Somebody else fills the disk so that this much is free now; `None`
    /// takes it away again. Writes beyond it come in part and fail with
    /// `StorageFull`; what is removed becomes free for us.
    pub fn set_free_bytes(&self, free: Option<u64>) {
        self.state().set_free_bytes(free);
    }

    /// Whether somebody else has filled it so.
    pub fn is_filled(&self) -> bool {
        self.state().faults.others_bytes > 0
    }

    /// How long operations take, as a percentage of what they should.
    pub fn set_slowness(&self, percent: u32) {
        self.state().faults.slowness_percent = percent;
    }

    /// Syncs fail with `EIO`. As on Linux, what was to be synced came or not
    /// and is not tried again, and some of what did not come is still read
    /// until the next power cut.
    pub fn fail_syncs(&self, failing: bool) {
        self.state().faults.syncs_fail = failing;
    }

    /// Reads fail with `EIO`.
    pub fn fail_reads(&self, failing: bool) {
        self.state().faults.reads_fail = failing;
    }

    /// Syncs say `Ok` and do nothing.
    pub fn lie_about_syncs(&self, lying: bool) {
        self.state().faults.syncs_lie = lying;
    }

    /// Flips a bit in so many durable files under `chunks/`, or in all if
    /// there are less; their paths.
    pub fn rot(&self, files: usize) -> Vec<String> {
        self.state().rot(files)
    }

    /// The directory is gone, and with it the present mount. The disk is not.
    pub fn lose_everything(&self) {
        self.state().lose_everything();
    }

    /// Virtual time of the operations since the last call: a seek and the
    /// bytes of each read, the bytes of each write, each sync. Names cost
    /// nothing before they are synced.
    pub fn take_cost(&self) -> Duration {
        self.state().take_cost()
    }

    pub fn counters(&self) -> DiskCounters {
        self.state().counters()
    }

    /// Paths beginning with `prefix` that would be there after a power cut in
    /// the worst case, sorted.
    pub fn durable_files(&self, prefix: &str) -> Vec<String> {
        self.state().names.durable_files(prefix).map(|(path, _)| path.to_owned()).collect()
    }

    /// What such a file would hold; `None` when it might be gone.
    pub fn read_durable(&self, path: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let (_, file) = state.names.durable_files(path).find(|(name, _)| *name == path)?;
        let bytes = file.content().synced().to_vec();
        Some(bytes)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

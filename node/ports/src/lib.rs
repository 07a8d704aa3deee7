//! The traits through which a peer touches the world.
//!
//! The runtime is written against these; production adapters (`shoal-net`,
//! `shoal-store`, `shoal-engine`, the binary's clock) and simulated ones
//! implement them. One [`Ports`] value is handed to every actor.

mod clock;
mod compute;
mod disk;
mod rng;
mod spawner;
mod store;
mod transport;

use std::sync::Arc;

pub use clock::Clock;
pub use compute::{Compute, Cut, Cutter, FrameStream, LocalFiles, Planning, TableFile, TableSource, TaskIo};
pub use disk::{Disk, DiskFile};
pub use futures::future::BoxFuture;
pub use rng::Rng;
pub use spawner::{Spawner, TaskHandle};
pub use store::{RegisterPut, Store, StoreUsage};
pub use transport::{Flow, FlowReader, FlowWriter, Inbound, Reply, Transport, TransportStats};

/// Everything that a peer's actors may touch.
#[derive(Clone)]
pub struct Ports {
    pub transport: Arc<dyn Transport>,
    pub store: Arc<dyn Store>,
    pub compute: Arc<dyn Compute>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub spawner: Arc<dyn Spawner>,
    /// Local files as tables: only where one peer is the whole mesh.
    pub files: Option<Arc<dyn LocalFiles>>,
}

//! A mesh of one peer inside the process, for `shoal sql` where no peer runs.
//!
//! It is the same runtime and engine as everywhere, on ports that touch
//! nothing: [`Nobody`] to talk to, a [`MemoryStore`] that is gone with the
//! process. Tables are local files. It is there within some tens of ms.

mod memory_store;
mod nobody;

use std::sync::Arc;

use shoal_engine::EngineConfig;
use shoal_ports::LocalFiles;
use shoal_types::{PeerId, PeerInfo, Result, RoleChange};
use tempfile::TempDir;

use crate::start::{Network, Parts, Running};
use crate::system::{OsRng, SystemFiles, cores, machine};

pub(crate) use memory_store::MemoryStore;
pub(crate) use nobody::Nobody;

/// A one-peer mesh that runs in this process.
pub(crate) struct Embedded {
    pub(crate) running: Running,
    /// Where operators spill; removed when dropped.
    _spill: TempDir,
}

impl Embedded {
    pub(crate) async fn start() -> Result<Self> {
        Self::with(Some(Arc::new(SystemFiles))).await
    }

    /// One whose tables are `files`, or else its own objects.
    async fn with(files: Option<Arc<dyn LocalFiles>>) -> Result<Self> {
        let spill = tempfile::Builder::new().prefix("shoal-").tempdir().map_err(|error| {
            shoal_types::Error::invalid(
                format!("cannot make a temporary directory to spill to: {error}"),
                "name a directory with room: TMPDIR=DIR shoal sql …",
            )
        })?;
        let peer = PeerId::from_bytes(OsRng::key::<32>()?);
        let info = PeerInfo {
            id: peer,
            name: "local".into(),
            zone: "local".into(),
            weight: 1,
            addresses: Vec::new(),
            version: env!("CARGO_PKG_VERSION").into(),
            incarnation: 0,
            machine: machine(),
            pid: std::process::id(),
            slots: u32::try_from(cores()).unwrap_or(1),
            gateway: None,
            leaves: false,
            revision: 0,
            mesh: None,
            replicas: Some(1),
        };
        let parts = Parts {
            network: Network::Alone(peer),
            store: Arc::new(MemoryStore::new(peer)),
            engine: EngineConfig::new(cores(), spill.path()),
            files,
            info,
            role: RoleChange::default(),
            join: Vec::new(),
            form: true,
        };
        Ok(Self { running: Running::start(parts).await?, _spill: spill })
    }
}

#[cfg(test)]
mod gateway_tests;
#[cfg(test)]
mod tables_tests;

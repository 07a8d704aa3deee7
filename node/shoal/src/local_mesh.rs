//! A mesh of peer processes on this machine, for the time of a command.

mod child;
mod ready;

use std::path::{Path, PathBuf};
use std::time::Duration;

use shoal_gateway::Client;
use tempfile::TempDir;

pub(crate) use self::child::Child;
use crate::failure::Failure;
use crate::home::Home;
use crate::start::Writing;
use crate::system::cores;

/// How long the peers may take to be one mesh, and what each adds to it.
const READY_TIME: Duration = Duration::from_secs(60);
const READY_TIME_PER_PEER: Duration = Duration::from_secs(2);

/// What the mesh is to be like.
#[derive(Debug, Clone)]
pub(crate) struct MeshOptions {
    pub(crate) peers: u16,
    /// Where the peers keep their data; a temporary directory when `None`.
    pub(crate) dir: Option<PathBuf>,
    /// Copies of each chunk; as many as the mesh in `dir` has when `None`, and in a new one as usual.
    pub(crate) replicas: Option<u32>,
    /// Tasks at once on each peer; when `None` the cores are shared out.
    pub(crate) slots: Option<u32>,
    pub(crate) writing: Writing,
    /// How long to wait for the peers to be one mesh; when `None` it grows
    /// with their number.
    pub(crate) timeout: Option<Duration>,
}

impl Default for MeshOptions {
    fn default() -> Self {
        Self { peers: 3, dir: None, replicas: None, slots: None, writing: Writing::default(), timeout: None }
    }
}

/// Peers that this process started. Dropped, they are killed.
pub(crate) struct LocalMesh {
    pub(crate) children: Vec<Child>,
    place: Place,
}

impl LocalMesh {
    /// Starts the peers and waits until they are one mesh.
    pub(crate) async fn start(options: &MeshOptions) -> Result<Self, Failure> {
        let place = Place::new(options.dir.clone())?;
        // Dropped on any way out, the children are killed.
        let mut mesh = Self { children: Vec::new(), place };
        mesh.spawn(options).await?;
        Ok(mesh)
    }

    async fn spawn(&mut self, options: &MeshOptions) -> Result<(), Failure> {
        let time = options.timeout.unwrap_or(READY_TIME + READY_TIME_PER_PEER * u32::from(options.peers));
        let deadline = tokio::time::Instant::now() + time;
        let secret = Home::locate(Some(&self.place.dir))?;
        secret.create()?;
        secret.secret(None, None, false)?;
        let share = u32::try_from(cores() / usize::from(options.peers)).unwrap_or(1).max(1);
        let shared = child::Options {
            secret_file: secret.secret_file(),
            replicas: options.replicas,
            slots: options.slots.unwrap_or(share),
            writing: options.writing,
        };
        for number in 1..=options.peers {
            let dir = self.place.dir.join(format!("peer-{number}"));
            // The others need the first one's address.
            let join = self.children.first().and_then(Child::address);
            self.children.push(Child::spawn(number, &dir, join, &shared)?);
            if number == 1 {
                ready::announced(&mut self.children, deadline).await?;
            }
        }
        ready::announced(&mut self.children, deadline).await?;
        ready::one_mesh(&mut self.children, deadline).await
    }

    /// Where the peers' directories are.
    pub(crate) fn dir(&self) -> &Path {
        &self.place.dir
    }

    /// The gateways of all peers.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.children.iter().filter_map(Child::gateway).collect()
    }

    /// For one of the peers.
    pub(crate) fn client(&self, at: usize) -> Result<Client, Failure> {
        match self.gateways().get(at) {
            Some(gateway) => Ok(Client::new(gateway)?),
            None => Err(Failure::mesh("there are not that many peers", "")),
        }
    }

    /// For the last of the peers that live.
    pub(crate) fn living_client(&mut self) -> Result<Client, Failure> {
        for child in self.children.iter_mut().rev() {
            if child.just_died()?.is_none()
                && !child.is_dead()
                && let Some(gateway) = child.gateway()
            {
                return Ok(Client::new(&gateway)?);
            }
        }
        Err(Failure::mesh("all peers are gone", ""))
    }

    /// kill -9 of the peer with that name; whether there was one to kill.
    pub(crate) fn kill(&mut self, name: &str) -> bool {
        self.children.iter_mut().any(|child| child.name() == name && child.kill())
    }

    /// Stops all peers in order.
    pub(crate) async fn stop(mut self) {
        child::stop_all(std::mem::take(&mut self.children)).await;
    }
}

/// Where the peers' directories are.
struct Place {
    dir: PathBuf,
    /// Removed at the end, when nobody asked to keep it.
    _temporary: Option<TempDir>,
}

impl Place {
    fn new(dir: Option<PathBuf>) -> Result<Self, Failure> {
        if let Some(dir) = dir {
            return Ok(Self { dir, _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("shoal-dev-").tempdir().map_err(|error| {
            Failure::request(format!("cannot make a temporary directory: {error}"), "name one: --dir DIR")
        })?;
        Ok(Self { dir: temporary.path().to_path_buf(), _temporary: Some(temporary) })
    }
}

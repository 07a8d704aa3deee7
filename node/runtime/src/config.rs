use std::time::Duration;

use shoal_membership::SwimConfig;
use shoal_types::{PeerInfo, SecretText, Secrets};

use crate::planted::Planted;

/// What a peer needs to know to start.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// What the peer says of itself when it starts. A mesh that it forms has as
    /// many copies of each chunk as it wants ([`PeerInfo::replicas`]).
    pub info: PeerInfo,
    /// What admits to the mesh, by which its transport was started.
    pub secrets: Secrets,
    /// Addresses (`HOST:PORT`) at which other peers may be.
    pub join: Vec<String>,
    /// Form a new mesh at once if none is remembered, rather than look for one first.
    pub form: bool,
    pub timing: Timing,
    pub bounds: Bounds,
    /// A bug put in on purpose, for the simulator to find.
    #[cfg(feature = "planted")]
    pub(crate) planted: Option<Planted>,
}

impl PeerConfig {
    pub fn new(info: PeerInfo) -> Self {
        Self {
            info,
            secrets: Secrets::first(SecretText::new("")),
            join: Vec::new(),
            form: false,
            timing: Timing::default(),
            bounds: Bounds::default(),
            #[cfg(feature = "planted")]
            planted: None,
        }
    }

    /// Puts a bug in, on purpose; whether this build can have one.
    pub fn plant(&mut self, bug: Planted) -> bool {
        #[cfg(feature = "planted")]
        {
            self.planted = Some(bug);
        }
        #[cfg(not(feature = "planted"))]
        let _ = bug;
        cfg!(feature = "planted")
    }
}

/// How long a peer waits for what.
#[derive(Debug, Clone)]
pub struct Timing {
    pub swim: SwimConfig,
    /// How long to look for others on the local network before forming a mesh. 0.5–30 s.
    pub discover: Duration,
    /// A member dead for longer leaves the layout, and others have its share
    /// for good. Copies are made in its place as soon as it is dead, however
    /// long this is. Longer spares moving names and shares on restarts, shorter
    /// has a majority of each name's acceptors there sooner. 10 s – hours.
    pub repair_delay: Duration,
    /// How often each peer checks that its chunks are on all their owners. 10 s – hours.
    pub repair_interval: Duration,
    /// In so long each peer reads each of its copies once, to find what has
    /// rotted. Days to months: it costs the whole disk's bytes each time.
    pub scrub: Duration,
    /// A chunk that no object lists any more, and nobody uses, is deleted so
    /// long after that was found out first, and no longer than twice that after
    /// it happened. Nothing that is under way may take half as long between
    /// bringing its chunks and listing them. At least some calls; minutes to
    /// days. The same at all peers: one counts on how long the others wait.
    /// A removed name is forgotten when its removal has been at rest so long;
    /// so no operation on a name may take half as long, either.
    pub grace: Duration,
    /// How often membership and layout look whether something is to be done. 50–1000 ms.
    pub tick: Duration,
    /// A call between peers. 1–10 s.
    pub call: Duration,
    /// An operation on a name, all its rounds included. 5–60 s.
    pub name: Duration,
    /// A chunk to or from one peer. 10–120 s.
    pub chunk: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            swim: SwimConfig::default(),
            discover: Duration::from_secs(2),
            repair_delay: Duration::from_secs(60),
            repair_interval: Duration::from_secs(60),
            scrub: Duration::from_secs(7 * 24 * 3600),
            grace: Duration::from_secs(3600),
            tick: Duration::from_millis(200),
            call: Duration::from_secs(3),
            name: Duration::from_secs(10),
            chunk: Duration::from_secs(60),
        }
    }
}

/// How much a peer holds or does at once.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Chunks of one put on their way at once. 1–16; each costs its bytes in memory.
    pub put_chunks: usize,
    /// Bytes of a body that are gathered before they are hashed and cut. Pieces
    /// come as the socket has them, and having another thread do something
    /// costs as much as hashing 20 KiB. Two batches of a put are in memory at once.
    pub put_batch_bytes: usize,
    /// Chunks that are put being received from others at once; missing copies,
    /// of which two are, come beside them. 2–64.
    pub inbound_chunks: usize,
    /// Chunks that are put in a bucket with `--synced`, in bytes, of which
    /// copies are still on their way to somebody: each stays in memory until it
    /// has all of them, and puts wait where there are more. At least one chunk,
    /// whatever its length. Copies by which silent peers are tried have room
    /// among them, or are not made. 16 MiB–4 GiB.
    pub lagging_bytes: usize,
    /// Verified chunks of other peers kept in memory, in bytes.
    pub chunk_cache_bytes: u64,
    /// Tasks waiting for a slot; more are refused as busy.
    pub waiting_tasks: usize,
    /// Finished jobs remembered for `shoal job ls`.
    pub finished_jobs: usize,
    /// Queries running at once that this peer coordinates.
    pub running_jobs: usize,
    /// The answer of a subquery, in bytes.
    pub subquery_bytes: usize,
    /// Files that one table's name may stand for.
    pub table_files: usize,
    /// Registers that are found to differ in one comparison with a peer, and
    /// that are brought together after it: the next finds the others. Some 200
    /// bytes each.
    pub differing_registers: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            put_chunks: 4,
            put_batch_bytes: 1 << 20,
            inbound_chunks: 16,
            lagging_bytes: 256 << 20,
            chunk_cache_bytes: 256 << 20,
            waiting_tasks: 4096,
            finished_jobs: 200,
            running_jobs: 64,
            subquery_bytes: 16 << 20,
            table_files: 100_000,
            differing_registers: 50_000,
        }
    }
}

#![allow(clippy::disallowed_methods, reason = "these are adapters: the ports that the lint wants end here")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use shoal_ports::{
    BoxFuture, Clock, Cut, Cutter, Flow, FrameStream, Inbound, Planning, Rng, Spawner, StoreUsage, TaskHandle, TaskIo,
    Transport, TransportStats,
};
use shoal_types::{
    ChunkId, Error, Format, JobId, JobPlan, OutputId, PeerId, Query, RegisterEntry, RegisterKey, Result, TaskReport,
    TaskSpec,
};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::context::lock;

/// A network without anybody in it.
pub(super) struct Network {
    local: PeerId,
    events: Mutex<Option<mpsc::Sender<Inbound>>>,
}

impl Network {
    pub(super) fn new(local: PeerId, events: mpsc::Sender<Inbound>) -> Self {
        Self { local, events: Mutex::new(Some(events)) }
    }
}

fn nobody(peer: PeerId) -> Error {
    Error::Unreachable { peer, why: "there is nobody".into() }
}

impl Transport for Network {
    fn local(&self) -> PeerId {
        self.local
    }

    fn addresses(&self) -> Vec<String> {
        vec![]
    }

    fn gossip(&self, _: PeerId, _: Bytes) {}

    fn call(&self, to: PeerId, _: Bytes, _: Duration) -> BoxFuture<'static, Result<Bytes>> {
        std::future::ready(Err(nobody(to))).boxed()
    }

    fn open(&self, to: PeerId, _: Bytes) -> BoxFuture<'static, Result<Flow>> {
        std::future::ready(Err(nobody(to))).boxed()
    }

    fn learn(&self, _: PeerId, _: &[String]) {}

    fn dial(&self, _: String) {}

    fn forget(&self, _: PeerId) {}

    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        lock(&self.events).take();
        std::future::ready(()).boxed()
    }
}

/// A store in memory.
#[derive(Default)]
pub(crate) struct Store {
    chunks: Mutex<BTreeMap<ChunkId, Bytes>>,
    registers: Mutex<BTreeMap<RegisterKey, RegisterEntry>>,
    notes: Mutex<BTreeMap<String, Bytes>>,
}

impl shoal_ports::Store for Store {
    fn chunk_put(&self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        lock(&self.chunks).insert(id, Bytes::copy_from_slice(bytes));
        Ok(())
    }

    fn chunk_len(&self, id: ChunkId) -> Result<Option<u32>> {
        Ok(lock(&self.chunks).get(&id).map(|bytes| bytes.len() as u32))
    }

    fn chunk_get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        let cut = |bytes: &Bytes| range.map_or(bytes.clone(), |(from, to)| bytes.slice(from as usize..to as usize));
        Ok(lock(&self.chunks).get(&id).map(cut))
    }

    fn chunk_delete(&self, id: ChunkId) -> Result<()> {
        lock(&self.chunks).remove(&id);
        Ok(())
    }

    fn chunk_list(&self, after: Option<ChunkId>, limit: usize) -> Result<Vec<ChunkId>> {
        Ok(lock(&self.chunks).keys().filter(|id| Some(**id) > after).take(limit).copied().collect())
    }

    fn register_get(&self, key: &RegisterKey) -> Result<Option<RegisterEntry>> {
        Ok(lock(&self.registers).get(key).cloned())
    }

    fn register_put(&self, entries: &[RegisterEntry]) -> Result<()> {
        lock(&self.registers).extend(entries.iter().map(|entry| (entry.key.clone(), entry.clone())));
        Ok(())
    }

    fn register_scan(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<RegisterEntry>> {
        Ok(vec![])
    }

    fn note_get(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(lock(&self.notes).get(name).cloned())
    }

    fn note_put(&self, name: &str, value: &[u8]) -> Result<()> {
        lock(&self.notes).insert(name.into(), Bytes::copy_from_slice(value));
        Ok(())
    }

    fn usage(&self) -> Result<StoreUsage> {
        Ok(StoreUsage::default())
    }
}

/// An engine that can do nothing; a query that says `wait` it ponders for ever.
pub(super) struct Compute;

impl shoal_ports::Compute for Compute {
    fn version(&self) -> String {
        "none".into()
    }

    fn plan(&self, query: Query, _: std::sync::Arc<dyn Planning>) -> BoxFuture<'static, Result<JobPlan>> {
        match query.sql.as_str() {
            "wait" => std::future::pending().boxed(),
            _ => std::future::ready(Err(Error::bug("no engine"))).boxed(),
        }
    }

    fn run(&self, _: TaskSpec, _: Bytes, _: std::sync::Arc<dyn TaskIo>) -> BoxFuture<'static, Result<TaskReport>> {
        std::future::ready(Err(Error::bug("no engine"))).boxed()
    }

    fn output(&self, _: OutputId, _: u32) -> Result<FrameStream> {
        Err(Error::bug("no engine"))
    }

    fn forget(&self, _: shoal_types::JobId) {}

    fn release(&self, _: JobId) {}

    fn cutter(&self, _: &str, _: Format) -> Box<dyn Cutter> {
        Box::new(Whole(vec![]))
    }
}

/// Makes one chunk of everything.
struct Whole(Vec<u8>);

impl Cutter for Whole {
    fn push(&mut self, bytes: Bytes) -> Result<Vec<Cut>> {
        self.0.extend_from_slice(&bytes);
        Ok(vec![])
    }

    fn finish(&mut self) -> Result<Vec<Cut>> {
        let whole = std::mem::take(&mut self.0);
        Ok(if whole.is_empty() { vec![] } else { vec![whole.into()] })
    }
}

/// The real time, by a wall clock that stands still.
pub(crate) struct Time {
    started: tokio::time::Instant,
    wall_ms: u64,
}

impl Time {
    pub(crate) fn at(wall_ms: u64) -> Self {
        Self { started: tokio::time::Instant::now(), wall_ms }
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::at(0)
    }
}

impl Clock for Time {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn wall_ms(&self) -> u64 {
        self.wall_ms
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(delay).boxed()
    }
}

/// Counts.
#[derive(Default)]
pub(super) struct Numbers(AtomicU64);

impl Rng for Numbers {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Tasks that can be ended all at once.
#[derive(Default)]
pub(super) struct Tasks(Mutex<Vec<AbortHandle>>);

impl Tasks {
    pub(super) fn abort_all(&self) {
        for task in lock(&self.0).drain(..) {
            task.abort();
        }
    }
}

impl Spawner for Tasks {
    fn spawn(&self, _: &'static str, task: BoxFuture<'static, ()>) -> TaskHandle {
        let handle = tokio::spawn(task).abort_handle();
        lock(&self.0).push(handle.clone());
        TaskHandle::new(move || handle.abort())
    }

    fn blocking(&self, work: Box<dyn FnOnce() + Send>) {
        work();
    }
}

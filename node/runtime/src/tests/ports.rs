#![allow(clippy::disallowed_methods, reason = "these are adapters: the ports that the lint wants end here")]

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use shoal_ports::{
    BoxFuture, Clock, Cut, Cutter, Flow, FlowReader, FlowWriter, FrameStream, Inbound, Planning, RegisterPut, Rng,
    Spawner, StoreUsage, TaskHandle, TaskIo, Transport, TransportStats,
};
use shoal_types::{
    Ballot, ChunkId, DiskState, Error, Format, JobId, JobPlan, OutputId, PeerId, PeerInfo, Query, RegisterEntry,
    RegisterKey, RegisterPlace, RegisterSpan, Response, Result, Secrets, TaskReport, TaskSpec, wire,
};
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::context::lock;

/// A network without anybody in it, unless it is told otherwise.
pub(crate) struct Network {
    local: PeerId,
    events: Mutex<Option<mpsc::Sender<Inbound>>>,
    /// Calls that nobody answers, before all others are.
    unanswered: AtomicU32,
    answered: AtomicU32,
    answer: Mutex<Response>,
    /// What comes of opening a flow, and how many were opened.
    opening: watch::Sender<Opening>,
    opened: AtomicU32,
}

#[derive(Clone)]
enum Opening {
    Fails,
    Waits,
    /// Everybody gives this plan fragment, or this chunk.
    Fragment(Bytes),
    /// Everybody says this instead.
    Refuses(Error),
}

impl Network {
    pub(crate) fn new(local: PeerId, events: mpsc::Sender<Inbound>) -> Self {
        Self {
            local,
            events: Mutex::new(Some(events)),
            unanswered: AtomicU32::new(u32::MAX),
            answered: AtomicU32::new(0),
            answer: Mutex::new(Response::Done),
            opening: watch::Sender::new(Opening::Fails),
            opened: AtomicU32::new(0),
        }
    }

    /// Has calls answered, after so many that are not.
    pub(crate) fn answers_after(&self, unanswered: u32) {
        self.unanswered.store(unanswered, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn has_fragment(&self, fragment: &Bytes) {
        self.opening.send_replace(Opening::Fragment(fragment.clone()));
    }

    /// Has flows wait that are opened, until something else is said.
    pub(crate) fn opens_when_told(&self) {
        self.opening.send_replace(Opening::Waits);
    }

    /// Has everybody refuse what a flow is for.
    pub(crate) fn refuses(&self, error: &Error) {
        self.opening.send_replace(Opening::Refuses(error.clone()));
    }

    /// What is answered to calls.
    pub(crate) fn answers(&self, answer: Response) {
        *lock(&self.answer) = answer;
    }

    pub(crate) fn opens_nothing(&self) {
        self.opening.send_replace(Opening::Fails);
    }

    pub(crate) fn opened(&self) -> u32 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Something comes from another peer.
    pub(crate) async fn comes(&self, event: Inbound) {
        let events = lock(&self.events).clone();
        assert!(events.unwrap().send(event).await.is_ok());
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

    fn admit_by(&self, _: &Secrets) -> Result<()> {
        Ok(())
    }

    fn present(&self, _: PeerInfo) {}

    fn gossip(&self, _: PeerId, _: Bytes) {}

    fn call(&self, to: PeerId, _: Bytes, _: Duration) -> BoxFuture<'static, Result<Bytes>> {
        let fewer = self.unanswered.load(Ordering::Relaxed).checked_sub(1);
        let answer = match fewer {
            Some(fewer) => {
                self.unanswered.store(fewer, Ordering::Relaxed);
                Err(nobody(to))
            }
            None => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                wire::encode(&Ok::<Response, Error>(lock(&self.answer).clone()))
            }
        };
        std::future::ready(answer).boxed()
    }

    fn open(&self, to: PeerId, _: Bytes) -> BoxFuture<'static, Result<Flow>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let mut opening = self.opening.subscribe();
        async move {
            let told = opening.wait_for(|opening| !matches!(opening, Opening::Waits)).await;
            match told.as_deref() {
                Ok(Opening::Fragment(fragment)) => {
                    let length = wire::encode(&Ok::<u32, Error>(fragment.len() as u32))?;
                    Ok(Frames::flow([length, fragment.clone()]))
                }
                Ok(Opening::Refuses(error)) => Ok(Frames::flow([wire::encode(&Err::<u32, Error>(error.clone()))?])),
                Ok(Opening::Fails | Opening::Waits) | Err(_) => Err(nobody(to)),
            }
        }
        .boxed()
    }

    fn learn(&self, _: PeerId, _: &[String]) {}

    fn dial(&self, _: String) {}

    fn knock(&self, _: String) -> BoxFuture<'static, Result<()>> {
        std::future::ready(Err(nobody(self.local))).boxed()
    }

    fn forget(&self, _: PeerId) {}

    fn stats(&self) -> TransportStats {
        TransportStats::default()
    }

    fn close(&self) -> BoxFuture<'static, ()> {
        lock(&self.events).take();
        std::future::ready(()).boxed()
    }
}

/// The other side of a flow: it gives these frames, says nothing more for
/// ever, and takes all that comes.
pub(crate) struct Frames(VecDeque<Bytes>);

impl Frames {
    pub(crate) fn flow(frames: impl IntoIterator<Item = Bytes>) -> Flow {
        Flow { writer: Box::new(Self(VecDeque::new())), reader: Box::new(Self(frames.into_iter().collect())) }
    }
}

impl FlowReader for Frames {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        match self.0.pop_front() {
            Some(frame) => std::future::ready(Ok(Some(frame))).boxed(),
            None => std::future::pending().boxed(),
        }
    }
}

impl FlowWriter for Frames {
    fn send(&mut self, _: Bytes) -> BoxFuture<'_, Result<()>> {
        std::future::ready(Ok(())).boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<()>> {
        std::future::ready(Ok(())).boxed()
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
        let cut = |bytes: &Bytes| {
            range.map_or(bytes.clone(), |(from, to)| bytes.slice(from as usize..(to as usize).min(bytes.len())))
        };
        Ok(lock(&self.chunks).get(&id).map(cut))
    }

    fn chunk_is_set_aside(&self, _: ChunkId) -> Result<bool> {
        // Nothing rots in memory.
        Ok(false)
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

    fn register_put(&self, puts: &[RegisterPut]) -> Result<()> {
        lock(&self.registers).extend(puts.iter().map(|put| (put.entry.key.clone(), put.entry.clone())));
        Ok(())
    }

    fn register_forget(&self, keys: &[RegisterKey], _: Ballot) -> Result<()> {
        lock(&self.registers).retain(|key, _| !keys.contains(key));
        Ok(())
    }

    fn register_horizon(&self) -> Result<Ballot> {
        Ok(Ballot::ZERO)
    }

    fn register_clear(&self) -> Result<()> {
        lock(&self.registers).retain(|key, _| matches!(key, RegisterKey::Layout(..)));
        Ok(())
    }

    fn register_scan(&self, _: &RegisterSpan, _: Option<&RegisterPlace>, _: usize) -> Result<Vec<RegisterEntry>> {
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

    fn disk(&self) -> DiskState {
        DiskState::Fine
    }
}

/// What an engine ponders for ever, as a query or as a plan fragment.
pub(super) const WAIT: &str = "wait";

/// An engine that can do nothing but wait.
#[derive(Default)]
pub(crate) struct Compute {
    running: Arc<AtomicUsize>,
}

impl Compute {
    /// Tasks that it ponders.
    pub(super) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }
}

/// Counts a task as running for as long as it lives.
struct Pondered(Arc<AtomicUsize>);

impl Drop for Pondered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl shoal_ports::Compute for Compute {
    fn version(&self) -> String {
        "none".into()
    }

    fn plan(&self, query: Query, _: Arc<dyn Planning>) -> BoxFuture<'static, Result<JobPlan>> {
        match query.sql.as_str() {
            WAIT => std::future::pending().boxed(),
            _ => std::future::ready(Err(Error::bug("no engine"))).boxed(),
        }
    }

    fn run(&self, _: TaskSpec, fragment: Bytes, _: Arc<dyn TaskIo>) -> BoxFuture<'static, Result<TaskReport>> {
        if fragment != WAIT {
            return std::future::ready(Err(Error::bug("no engine"))).boxed();
        }
        self.running.fetch_add(1, Ordering::Relaxed);
        let pondered = Pondered(self.running.clone());
        async move {
            let _pondered = pondered;
            std::future::pending().await
        }
        .boxed()
    }

    fn output(&self, _: OutputId, _: u32) -> Result<FrameStream> {
        Err(Error::bug("no engine"))
    }

    fn forget(&self, _: shoal_types::JobId) {}

    fn release(&self, _: JobId) {}

    fn cutter(&self, _: &str, _: Format) -> Box<dyn Cutter> {
        Box::new(Whole(vec![]))
    }

    fn ends_record(&self, _: &str, _: Format, _: &[u8]) -> bool {
        false
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

/// A clock for which nobody waits: a sleep is over at once, and moves it on.
#[derive(Default)]
pub(crate) struct Hurry(Mutex<Duration>);

impl Clock for Hurry {
    fn now(&self) -> Duration {
        *lock(&self.0)
    }

    fn wall_ms(&self) -> u64 {
        0
    }

    fn sleep(&self, delay: Duration) -> BoxFuture<'static, ()> {
        *lock(&self.0) += delay;
        std::future::ready(()).boxed()
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
pub(crate) struct Tasks(Mutex<Vec<AbortHandle>>);

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

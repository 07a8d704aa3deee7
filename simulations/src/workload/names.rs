//! Clients that put, get, list and remove objects under names that they share.

use std::time::Duration;

use shoal_runtime::{Peer, PutCondition};
use shoal_types::{Error, Etag, Format, Manifest, ObjectName, Result};

use super::asking::{pieces, slowly, whole};
use super::content::{content, number_of};
use super::scratch::{BUCKET as SCRATCH, Scratched};
use crate::host::HostId;
use crate::ledger::{Operation, OperationId, OperationKind, Outcome};
use crate::random::Random;
use crate::scenario::Workload;
use crate::world::World;

/// After this a client goes on to something else.
const PATIENCE: Duration = Duration::from_secs(30);

/// An object is sent in pieces of so many bytes.
const PIECE_BYTES: usize = 4096;

/// Names on one page of a listing: fewer than there are.
const LISTED_AT_ONCE: u32 = 3;

/// Between two pieces of one that comes slowly, at most.
const PAUSE: Duration = Duration::from_millis(1_000);

/// The longest object, in bytes: the longer ones do not fit into their manifest.
const OBJECT_BYTES_MAX: u64 = 24 << 10;

impl World {
    /// Has the scenario's clients at work until `end`.
    pub(crate) fn run_clients(&self, workload: &Workload, end: Duration) {
        self.give_history(workload, end);
        self.give_scratch(workload, end);
        for client in 0..workload.clients {
            let (world, workload) = (self.clone(), workload.clone());
            let mut random = self.random(&[602, u64::from(client)]);
            tokio::spawn(async move {
                let (mut turn, mut scratched) = (0, None);
                while world.now() < end {
                    world.sleep(random.time_below(2 * workload.think.0) + Duration::from_micros(1)).await;
                    turn += 1;
                    let content = u64::from(client) << 24 | turn;
                    world.operate(&workload, content, &mut scratched, &mut random).await;
                }
            });
        }
    }

    /// One operation of a client, ended by whatever comes first: its answer,
    /// its peer's death, or its patience.
    async fn operate(&self, workload: &Workload, content: u64, scratched: &mut Option<Scratched>, random: &mut Random) {
        let Some((host, peer)) = self.any_peer(random) else {
            return;
        };
        let again = scratched.take_if(|_| random.below(3) == 0);
        let special = if again.is_some() { None } else { self.kept_name(workload, random) };
        let special = special.or_else(|| again.is_none().then(|| self.scratch_name(workload, random)).flatten());
        let name = special.unwrap_or_else(|| format!("names/{}", random.below(u64::from(workload.names.max(1)))));
        let is_scratch = name.starts_with(SCRATCH);
        let looked_up = self.former_content(&name, random);
        let kind = match again {
            Some(Scratched { content, .. }) => OperationKind::Put { content },
            None => self.choose(&name, content, random),
        };
        let longest = if is_scratch || random.below(4) == 0 { OBJECT_BYTES_MAX } else { 200 };
        let length = again.map_or_else(|| 8 + random.below(longest) as usize, |again| again.length);
        if is_scratch
            && let OperationKind::Put { content }
            | OperationKind::PutIfAbsent { content }
            | OperationKind::PutIfMatch { content, .. } = kind
        {
            *scratched = Some(Scratched { content, length });
        }
        let is_slow = workload.slow.0 > 0.0 && random.chance(workload.slow.0);
        let size = Size { bytes: length, pause: is_slow.then(|| random.time_below(PAUSE)) };
        let id = {
            let mut state = self.state();
            let invoked = state.heap.now();
            let operation =
                Operation { name: name.clone(), at: host, kind, invoked, returned: None, outcome: Outcome::Unknown };
            state.ledger.history.begin(operation)
        };
        let (done, over) = futures::channel::oneshot::channel::<()>();
        let (world, heard, looked_at) = (self.clone(), Heard { world: self.clone(), id }, name.clone());
        self.at_host(host, async move {
            let outcome = world.carry_out(&peer, &name, kind, size).await;
            world.ended(host, id, outcome);
            drop(heard);
            if let Some(content) = looked_up {
                world.look_up(host, &peer, &looked_at, content).await;
            }
            drop(done);
        });
        // Dropped, by an end or by a death, it is over.
        futures::future::select(over, self.sleep(PATIENCE)).await;
    }

    fn choose(&self, name: &str, content: u64, random: &mut Random) -> OperationKind {
        let last_seen = self.state().ledger.history.last_seen(name);
        match (random.below(10), last_seen) {
            (0..=2, _) => OperationKind::Get,
            (3, _) => OperationKind::List,
            (4 | 5, _) => OperationKind::Put { content },
            (6 | 7, Some(expected)) => OperationKind::PutIfMatch { content, expected },
            (8, _) => OperationKind::Remove,
            _ => OperationKind::PutIfAbsent { content },
        }
    }

    async fn carry_out(&self, peer: &Peer, name: &str, kind: OperationKind, size: Size) -> Outcome {
        let Ok(name) = ObjectName::new(name) else {
            return Outcome::Failed("no name".into());
        };
        match kind {
            OperationKind::Put { content } => self.put(peer, name, content, size, PutCondition::Always).await,
            OperationKind::PutIfAbsent { content } => self.put(peer, name, content, size, PutCondition::IfAbsent).await,
            OperationKind::PutIfMatch { content, expected } => {
                let etag = self.state().ledger.history.etag(expected);
                match etag {
                    Some(etag) => self.put(peer, name, content, size, PutCondition::IfMatch(Etag(etag))).await,
                    None => Outcome::Failed("its ETag is not known".into()),
                }
            }
            OperationKind::Get => match self.get(peer, name).await {
                Ok(saw) => Outcome::Saw(saw),
                Err(error) => Outcome::Failed(error.to_string()),
            },
            OperationKind::List => match self.look_for(peer, &name).await {
                Ok(saw) => Outcome::Saw(saw),
                Err(error) => Outcome::Failed(error.to_string()),
            },
            OperationKind::Remove => match peer.remove(name, PutCondition::Always).await {
                Ok(was_there) => Outcome::Done { was_there },
                Err(error) => after_write(error),
            },
        }
    }

    async fn put(&self, peer: &Peer, name: ObjectName, number: u64, size: Size, condition: PutCondition) -> Outcome {
        let bytes = content(number, size.bytes);
        let etag = blake3::hash(&bytes).to_hex().to_string();
        self.state().ledger.history.knows(number, etag);
        let body = match size.pause {
            Some(pause) => slowly(self, &bytes, PIECE_BYTES, pause),
            None => pieces(&bytes, PIECE_BYTES),
        };
        match peer.put(name.clone(), Format::Bytes, condition.clone(), body).await {
            Ok(stored) => {
                self.promised(&name, &stored.manifest);
                Outcome::Done { was_there: true }
            }
            Err(Error::Conflict { found, .. }) if condition != PutCondition::Always && !is_unsure(&found) => {
                Outcome::Refused
            }
            Err(error) => after_write(error),
        }
    }

    async fn get(&self, peer: &Peer, name: ObjectName) -> Result<Option<u64>> {
        let Some((manifest, bytes)) = whole(peer, name.clone()).await? else { return Ok(None) };
        let number = number_of(&bytes).filter(|_| bytes.len() as u64 == manifest.bytes);
        if number.is_none() {
            let what = format!("'{name}' was read as {} bytes that nobody has put", bytes.len());
            self.violate("reads-are-whole", &[], what);
        }
        Ok(number)
    }

    /// What a name stands for, by a listing of all names that begin as it does.
    async fn look_for(&self, peer: &Peer, name: &ObjectName) -> Result<Option<u64>> {
        let folder = name.as_str().split_inclusive('/').next().unwrap_or_default();
        let mut after = None;
        loop {
            let (entries, more) = peer.list(folder.into(), after, LISTED_AT_ONCE).await?;
            after = entries.last().map(|entry| entry.name.to_string());
            if let Some(entry) = entries.into_iter().find(|entry| entry.name == *name) {
                let number = self.state().ledger.history.content(&entry.manifest.etag.0);
                if number.is_none() {
                    self.violate(
                        "reads-are-whole",
                        &[],
                        format!("'{name}' is listed with an ETag that nobody has put"),
                    );
                }
                return Ok(number);
            }
            if !more || after.is_none() {
                return Ok(None);
            }
        }
    }

    fn ended(&self, host: HostId, id: OperationId, outcome: Outcome) {
        let mut state = self.state();
        let now = state.heap.now();
        let Some(operation) = state.ledger.history.all().get(id.0).cloned() else {
            return;
        };
        if outcome != Outcome::Unknown {
            let what = format!("{} '{}': {}", operation.kind.as_str(), operation.name, outcome);
            state.trace.line(now, Some(host), what);
        }
        state.ledger.history.end(id, now, outcome);
    }

    /// A client was told that an object is safe.
    pub(crate) fn promised(&self, name: &ObjectName, manifest: &Manifest) {
        let mut state = self.state();
        let now = state.heap.now();
        for chunk in &manifest.chunks {
            state.ledger.copies.promise(now, name, chunk.id);
        }
        drop(state);
        self.acknowledged(name, manifest);
    }
}

/// How much is put, and how slowly.
#[derive(Clone, Copy)]
struct Size {
    bytes: usize,
    /// Before each piece.
    pause: Option<Duration>,
}

/// Somebody may still hear how an operation ends.
struct Heard {
    world: World,
    id: OperationId,
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.world.state().ledger.history.let_go(self.id);
    }
}

/// What is known of a write that ended with an error: that it was not made
/// only where the error says so.
fn after_write(error: Error) -> Outcome {
    match error {
        Error::Invalid { .. } | Error::BadData { .. } | Error::Busy { .. } | Error::DiskFull { .. } => {
            Outcome::Failed(error.to_string())
        }
        _ => Outcome::Unknown,
    }
}

/// A conflict that says that nobody knows.
fn is_unsure(found: &str) -> bool {
    found.contains("unknown") || found.contains("at the same time")
}

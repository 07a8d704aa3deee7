//! Clients that append to objects that they share, and read them.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use shoal_types::{AppendId, Manifest, ObjectName};

use super::asking::{pieces, whole};
use super::content::{content, number_of};
use crate::host::HostId;
use crate::ledger::Read;
use crate::random::Random;
use crate::scenario::Workload;
use crate::world::World;

/// After this a client asks another peer for the same append.
const PATIENCE: Duration = Duration::from_secs(8);

/// So often it asks; then it goes on, and does not know.
const TRIES: u32 = 5;

/// Appends to one object; then there is another one. Fewer than a register
/// remembers ids of: one that is asked for again is always known.
const APPENDS_MAX: usize = 40;

/// The longest append, in bytes, and the longest of most: the longer ones make
/// chunks, which are joined to the one before.
const APPEND_BYTES_MAX: u64 = 8 << 10;
const APPEND_BYTES_MOST: u64 = 300;

/// An append is sent in pieces of so many bytes.
const PIECE_BYTES: usize = 1_000;

/// What goes before each append's bytes: how many they are.
const HEAD_BYTES: usize = 4;

/// How often each object is read once all is over, until it can be.
const LAST_READS_MAX: u32 = 40;

impl World {
    /// Has the scenario's appending clients at work until `end`; then what
    /// they made is read once more.
    pub(crate) fn run_appenders(&self, workload: &Workload, end: Duration) {
        for client in 0..workload.appenders {
            let (world, workload) = (self.clone(), workload.clone());
            let mut random = self.random(&[603, u64::from(client)]);
            world.state().ledger.appended.works(true);
            tokio::spawn(async move {
                let mut turn = 0;
                while world.now() < end {
                    world.sleep(random.time_below(2 * workload.think.0) + Duration::from_micros(1)).await;
                    turn += 1;
                    let number = u64::from(client) << 24 | turn;
                    let log = format!("logs/{}", world.state().ledger.appended.begun() / APPENDS_MAX);
                    if random.below(4) == 0 {
                        world.read_once(&log, &mut random).await;
                    } else {
                        world.append_once(&log, number, &mut random).await;
                    }
                }
                if client == 0 {
                    world.read_all(&mut random).await;
                }
                world.state().ledger.appended.works(false);
            });
        }
    }

    /// One append, asked for under its id until it is acknowledged.
    async fn append_once(&self, log: &str, number: u64, random: &mut Random) {
        let longest = if random.below(6) == 0 { APPEND_BYTES_MAX } else { APPEND_BYTES_MOST };
        let bytes = framed(number, 8 + random.below(longest) as usize);
        let halves = [random.next_u64().to_le_bytes(), random.next_u64().to_le_bytes()].concat();
        let id = halves.try_into().map_or(AppendId::from_bytes([0; 16]), AppendId::from_bytes);
        let Ok(name) = ObjectName::new(log) else { return };
        let mut has_begun = false;
        for _ in 0..TRIES {
            let Some((host, peer)) = self.any_peer(random) else { return };
            let now = self.now();
            if !std::mem::replace(&mut has_begun, true) {
                self.state().ledger.appended.begin(log, number, host, now);
            }
            let (name_there, pieces) = (name.clone(), pieces(&bytes, PIECE_BYTES));
            let asked =
                self.ask_at(host, PATIENCE, async move { peer.append(name_there, None, id, None, pieces).await });
            match asked.await {
                Some(Ok(manifest)) => return self.is_appended(host, log, &name, number, &manifest),
                Some(Err(error)) => self.note(host, format!("append to '{log}' failed: {error}")),
                None => {}
            }
            self.sleep(random.time_below(Duration::from_secs(1))).await;
        }
    }

    /// A client was told that its append is there.
    fn is_appended(&self, host: HostId, log: &str, name: &ObjectName, number: u64, manifest: &Manifest) {
        let mut state = self.state();
        let now = state.heap.now();
        for chunk in &manifest.chunks {
            state.ledger.copies.promise(now, name, chunk.id);
        }
        state.ledger.appended.done(log, number, now);
        drop(state);
        self.note(host, format!("append to '{log}': {number:x} is there"));
    }

    /// Reads an object, and has it judged. Whether it could be read.
    async fn read_once(&self, log: &str, random: &mut Random) -> bool {
        let (Some((host, peer)), Ok(name)) = (self.any_peer(random), ObjectName::new(log)) else { return false };
        let invoked = self.now();
        let Some(Ok(found)) = self.ask_at(host, PATIENCE, async move { whole(&peer, name).await }).await else {
            return false;
        };
        let bytes = found.map_or_else(Bytes::new, |(_, bytes)| bytes);
        let Some(saw) = numbers(&bytes) else {
            self.violate("appends-once", &[host], format!("'{log}' was read as {} bytes, torn ones", bytes.len()));
            return true;
        };
        self.note(host, format!("read '{log}': {} appends", saw.len()));
        self.judge_read(host, log, Read { invoked, returned: self.now(), saw });
        true
    }

    fn judge_read(&self, host: HostId, log: &str, read: Read) {
        let mut state = self.state();
        // So many disks that nobody need remember the name, or a disk that lies.
        let copies = &state.ledger.copies;
        let is_excused = !copies.are_reliable() || copies.lost_disks().len() >= self.config().replicas as usize;
        let judged = state.ledger.appended.judge(log, &read);
        drop(state);
        if let (false, Err((mut hosts, what))) = (is_excused, judged) {
            hosts.push(host);
            self.violate("appends-once", &hosts, format!("'{log}' has {} appends: {what}", read.saw.len()));
        }
    }

    /// Once nothing goes wrong any more, each object is read.
    async fn read_all(&self, random: &mut Random) {
        let logs = self.state().ledger.appended.logs();
        for log in logs {
            for _ in 0..LAST_READS_MAX {
                if self.read_once(&log, random).await {
                    break;
                }
                self.sleep(Duration::from_secs(1)).await;
            }
        }
    }

    fn note(&self, host: HostId, what: String) {
        let mut state = self.state();
        let now = state.heap.now();
        state.trace.line(now, Some(host), what);
    }
}

/// The bytes of an append: how many follow, and a content.
fn framed(number: u64, length: usize) -> Bytes {
    let content = content(number, length);
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + content.len());
    bytes.put_u32_le(content.len() as u32);
    bytes.extend_from_slice(&content);
    bytes.freeze()
}

/// The numbers of the appends that an object consists of; `None` if there is anything else in it.
fn numbers(mut bytes: &[u8]) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD_BYTES>() {
        let (content, rest) = rest.split_at_checked(u32::from_le_bytes(*head) as usize)?;
        numbers.push(number_of(content)?);
        bytes = rest;
    }
    bytes.is_empty().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_tells_its_appends_and_a_torn_one_is_noticed() {
        let all = [framed(7, 8), framed(8, 300), framed(9, 5000)].concat();
        assert_eq!(numbers(&all), Some(vec![7, 8, 9]));
        assert_eq!(numbers(&[]), Some(vec![]));
        assert_eq!(numbers(&all[..all.len() - 1]), None);
        assert_eq!(numbers(&all[1..]), None);
    }
}

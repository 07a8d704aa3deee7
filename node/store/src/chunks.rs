//! Chunks as files.

mod cache;
mod index;
mod path;
mod quarantine;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shoal_ports::{Disk, DiskFile};
use shoal_types::{ChunkId, Copies, Error, Layout, Result};

use crate::health::{Health, is_full};
use cache::Cache;
use index::{Entry, Index};
use quarantine::Quarantine;

/// The longest chunk, in bytes.
const CHUNK_BYTES_MAX: usize = 64 << 20;

/// The disk is told before of so many bytes that they come. For less it is
/// one more call, and no faster.
const ALLOCATED_BYTES_MIN: usize = 256 << 10;

/// Where chunks are written before they get their name.
const TMP: &str = "tmp";

/// Of so many copies that were set aside it is remembered how wanted they are.
const WANTED_MAX: usize = 65_536;

/// A directory per first byte.
const SHARDS: usize = 256;

pub(crate) struct Chunks {
    disk: Arc<dyn Disk>,
    health: Arc<Health>,
    index: Mutex<Index>,
    cache: Cache,
    /// Held while an entry of the directory and its line in the index change together.
    shards: Vec<Mutex<Shard>>,
    /// Held while a chunk is read into the cache: many who want ranges of it wait for one read.
    loading: Vec<Mutex<()>>,
    quarantine: Quarantine,
    /// How many copies there were to be of chunks whose copy was set aside: as
    /// many as of the one that takes its place.
    wanted: Mutex<BTreeMap<ChunkId, Copies>>,
    next_tmp: AtomicU64,
    /// Copies that were set aside.
    bad_copies: AtomicU64,
    /// Copies of a chunk of which nothing else is said, as far as is known.
    pub(crate) usual: AtomicU32,
}

#[derive(Default)]
struct Shard {
    /// Its directory is there, durably.
    made: bool,
}

/// What reading a copy came to.
enum Copy {
    Good(Bytes),
    Missing,
    /// Not what its name says: why.
    Bad(String),
    /// The medium does not give it, this time: why.
    Unreadable(String),
}

impl Chunks {
    pub(crate) fn open(disk: Arc<dyn Disk>, health: Arc<Health>, cache_bytes: u64) -> Result<Self> {
        let complain = |error: io::Error| health.error("cannot open the chunks", &error);
        disk.make_dir(TMP).map_err(complain)?;
        disk.make_dir(path::CHUNKS).map_err(complain)?;
        disk.sync_dir("").map_err(complain)?;
        // Nothing in there was ever acknowledged.
        for name in disk.list(TMP).map_err(complain)? {
            disk.remove(&format!("{TMP}/{name}")).map_err(complain)?;
        }
        let index = Index::scan(disk.as_ref(), Layout::REPLICAS).map_err(complain)?;
        let quarantine = Quarantine::open(disk.clone()).map_err(complain)?;
        Ok(Self {
            index: Mutex::new(index),
            cache: Cache::new(cache_bytes),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            loading: (0..SHARDS).map(|_| Mutex::default()).collect(),
            quarantine,
            wanted: Mutex::default(),
            next_tmp: AtomicU64::new(0),
            bad_copies: AtomicU64::new(0),
            usual: AtomicU32::new(Layout::REPLICAS),
            disk,
            health,
        })
    }

    pub(crate) fn put(&self, id: ChunkId, bytes: &[u8]) -> Result<()> {
        if bytes.len() <= CHUNK_BYTES_MAX && ChunkId::of(bytes) != id {
            return Err(Error::BadFrame { what: format!("bytes that are not chunk {}", id.short()) });
        }
        self.keep(id, bytes, Copies::DEFAULT)
    }

    /// Keeps bytes that are known to be what `id` says, of which there are to
    /// be so many copies.
    pub(crate) fn keep(&self, id: ChunkId, bytes: &[u8], copies: Copies) -> Result<()> {
        if bytes.len() > CHUNK_BYTES_MAX {
            let what = format!("chunk {} of {} bytes: at most {CHUNK_BYTES_MAX} are kept", id.short(), bytes.len());
            return Err(Error::BadFrame { what });
        }
        self.health.writable()?;
        // Only a whole copy counts: that one is there may be said of one that has rotted.
        if self.read(id)?.is_some() && self.want(id, copies)? {
            return Ok(());
        }
        let _room = self.health.room_for_chunk(bytes.len() as u64)?;
        let tmp = format!("{TMP}/{}", self.next_tmp.fetch_add(1, Ordering::Relaxed));
        let kept = self.write_tmp(&tmp, bytes).and_then(|()| self.adopt(&tmp, id, bytes.len() as u32, copies));
        if kept.is_err() {
            // Best effort: what stays is removed at the next open.
            let _ = self.disk.remove(&tmp);
        }
        kept
    }

    fn write_tmp(&self, tmp: &str, bytes: &[u8]) -> Result<()> {
        let write = || {
            let file = self.disk.open(tmp, true)?;
            if bytes.len() >= ALLOCATED_BYTES_MIN {
                file.allocate(bytes.len() as u64)?;
                file.fill(bytes)?;
            } else {
                file.write_at(0, bytes)?;
            }
            Ok(file)
        };
        let file = write().map_err(|error| self.health.error("cannot write a chunk", &error))?;
        match file.sync() {
            Ok(()) => Ok(()),
            // File systems that allocate late find out here. Only this file,
            // which nobody was told of, is concerned.
            Err(error) if is_full(&error) => Err(self.health.full()),
            Err(error) => Err(self.health.fail("a chunk could not be synced", &error)),
        }
    }

    /// Gives a synced file the chunk's name, durably.
    fn adopt(&self, tmp: &str, id: ChunkId, bytes: u32, copies: Copies) -> Result<()> {
        let dir = path::dir(id);
        let mut shard = self.shard(id);
        if !shard.made {
            self.disk.make_dir(&dir).map_err(|error| self.health.error("cannot make a directory", &error))?;
            self.sync_dir(path::CHUNKS)?;
            shard.made = true;
        }
        // Another may have come in between; then it is replaced, under one name.
        let before = self.index().get(id);
        let wanted = lock(&self.wanted).remove(&id);
        let usual = self.usual.load(Ordering::Relaxed);
        let copies = [before.map(|before| before.copies), wanted]
            .into_iter()
            .flatten()
            .fold(copies, |copies, before| before.or(copies, usual));
        if let Some(before) = before.filter(|before| before.copies != copies) {
            self.rename(&path::file(id, before.copies), &path::file(id, copies))?;
        }
        self.rename(tmp, &path::file(id, copies))?;
        self.sync_dir(&dir)?;
        self.index().insert(id, Entry { bytes, copies });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.disk.rename(from, to).map_err(|error| self.health.error("cannot give a chunk its name", &error))
    }

    /// Has at least so many copies wanted of a chunk; whether it is here. The
    /// number is in the name of its file, so that the index can be made anew.
    pub(crate) fn want(&self, id: ChunkId, copies: Copies) -> Result<bool> {
        let usual = self.usual.load(Ordering::Relaxed);
        let is_less = |entry: Entry| entry.copies.or(copies, usual) != entry.copies;
        match self.index().get(id) {
            None => return Ok(false),
            Some(entry) if !is_less(entry) => return Ok(true),
            Some(_) => self.health.writable()?,
        }
        let _shard = self.shard(id);
        let Some(entry) = self.index().get(id) else { return Ok(false) };
        if is_less(entry) {
            self.rename(&path::file(id, entry.copies), &path::file(id, copies))?;
            let synced = self.sync_dir(&path::dir(id));
            // Whoever looks from now on may count on it; whoever did before, has waited or not seen it.
            self.index().insert(id, Entry { copies, ..entry });
            synced?;
        }
        Ok(true)
    }

    /// How many copies there are to be of a chunk that is here.
    pub(crate) fn copies(&self, id: ChunkId) -> Option<Copies> {
        self.index().get(id).map(|entry| entry.copies)
    }

    /// Whether a copy of a chunk was set aside, and none has come since.
    pub(crate) fn is_set_aside(&self, id: ChunkId) -> bool {
        lock(&self.wanted).contains_key(&id)
    }

    fn sync_dir(&self, dir: &str) -> Result<()> {
        self.disk.sync_dir(dir).map_err(|error| self.health.fail("a directory could not be synced", &error))
    }

    pub(crate) fn len(&self, id: ChunkId) -> Option<u32> {
        self.index().get(id).map(|entry| entry.bytes)
    }

    /// A whole chunk is read and hashed each time, so that a scrub sees the
    /// disk. A range comes out of a whole chunk that this process has read and
    /// verified, and keeps in memory for the next one.
    pub(crate) fn get(&self, id: ChunkId, range: Option<(u32, u32)>) -> Result<Option<Bytes>> {
        let Some(range) = range else { return self.read(id) };
        // One that was deleted while it was read may linger in the cache.
        if self.len(id).is_none() {
            return Ok(None);
        }
        if let Some(whole) = self.cache.get(id) {
            return Ok(Some(cut(&whole, range)));
        }
        let _one_at_a_time = lock(&self.loading[shard_of(id)]);
        if let Some(whole) = self.cache.get(id) {
            return Ok(Some(cut(&whole, range)));
        }
        let Some(whole) = self.read(id)? else { return Ok(None) };
        let bytes = cut(&whole, range);
        self.cache.insert(id, whole);
        Ok(Some(bytes))
    }

    fn read(&self, id: ChunkId) -> Result<Option<Bytes>> {
        if self.len(id).is_none() {
            return Ok(None);
        }
        match self.read_copy(id)? {
            Copy::Good(bytes) => Ok(Some(bytes)),
            Copy::Missing | Copy::Bad(_) | Copy::Unreadable(_) => self.set_aside(id),
        }
    }

    /// The copy of a chunk did not read well: again, with the directory held,
    /// since a good one may have come in between; then out of the way.
    fn set_aside(&self, id: ChunkId) -> Result<Option<Bytes>> {
        let _shard = self.shard(id);
        let why = match self.read_copy(id)? {
            Copy::Good(bytes) => return Ok(Some(bytes)),
            Copy::Missing => "its file is gone".to_owned(),
            Copy::Bad(why) => {
                self.quarantine.take(id, self.copies(id).unwrap_or_default());
                why
            }
            // Its file stays for the next start, as the cable may be loose;
            // until then nobody counts on it, and another takes its place.
            Copy::Unreadable(why) => why,
        };
        self.cache.remove(id);
        // One that was deleted while it was read is not bad, only gone.
        let removed = self.index().remove(id);
        if let Some(removed) = removed {
            let mut wanted = lock(&self.wanted);
            if wanted.len() < WANTED_MAX {
                wanted.insert(id, removed.copies);
            }
            drop(wanted);
            tracing::warn!(chunk = %id, why, "a copy of a chunk was set aside");
            self.bad_copies.fetch_add(1, Ordering::Relaxed);
        }
        Ok(None)
    }

    fn read_copy(&self, id: ChunkId) -> Result<Copy> {
        let read = || -> io::Result<Option<Bytes>> {
            let file = self.open_file(id)?;
            let bytes = file.len()?;
            if bytes > CHUNK_BYTES_MAX as u64 {
                return Ok(None);
            }
            let mut buffer = vec![0; bytes as usize];
            file.read_at(0, &mut buffer)?;
            Ok(Some(Bytes::from(buffer)))
        };
        match read() {
            Ok(Some(bytes)) if ChunkId::of(&bytes) == id => Ok(Copy::Good(bytes)),
            Ok(_) => Ok(Copy::Bad("its bytes are not what its name says".into())),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // With the whole directory every file is gone: that says nothing of this one.
                self.health.there()?;
                Ok(Copy::Missing)
            }
            Err(error) if is_of_the_medium(&error) => Ok(Copy::Unreadable(error.to_string())),
            Err(error) if is_of_the_copy(&error) => Ok(Copy::Bad(error.to_string())),
            Err(error) => Err(self.health.error("cannot read a chunk", &error)),
        }
    }

    /// The file of a chunk, whose name may be changed in the middle of it.
    fn open_file(&self, id: ChunkId) -> io::Result<Box<dyn DiskFile>> {
        let mut copies = self.copies(id).unwrap_or_default();
        loop {
            let opened = self.disk.open(&path::file(id, copies), false);
            let now = self.copies(id).unwrap_or_default();
            match opened {
                Err(error) if error.kind() == ErrorKind::NotFound && now != copies => copies = now,
                opened => return opened,
            }
        }
    }

    pub(crate) fn delete(&self, id: ChunkId) -> Result<()> {
        self.health.writable()?;
        let _shard = self.shard(id);
        self.cache.remove(id);
        let set_aside = lock(&self.wanted).remove(&id);
        let Some(entry) = self.index().remove(id) else {
            if let Some(copies) = set_aside {
                // One that could not be read may be there still. If it stays, the next start finds it.
                let _ = self.disk.remove(&path::file(id, copies));
            }
            return Ok(());
        };
        match self.disk.remove(&path::file(id, entry.copies)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(self.health.error("cannot remove a chunk", &error));
            }
            Ok(()) | Err(_) => {}
        }
        self.sync_dir(&path::dir(id))
    }

    pub(crate) fn list(&self, after: Option<ChunkId>, limit: usize) -> Vec<ChunkId> {
        self.index().list(after, limit)
    }

    /// Number of chunks, and their bytes.
    pub(crate) fn usage(&self) -> (u64, u64) {
        self.index().usage()
    }

    /// Copies that were set aside since the store was opened.
    pub(crate) fn bad_copies(&self) -> u64 {
        self.bad_copies.load(Ordering::Relaxed)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        lock(&self.index)
    }

    fn shard(&self, id: ChunkId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[shard_of(id)])
    }
}

fn shard_of(id: ChunkId) -> usize {
    usize::from(id.as_bytes()[0]) % SHARDS
}

/// A thread that panicked left no half-made change behind: every guarded change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an error is about this copy, not about the process or the disk as a whole.
fn is_of_the_copy(error: &io::Error) -> bool {
    // A directory where the file should be: what a check of the file system may leave.
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::IsADirectory) || is_of_the_medium(error)
}

/// Whether it is about the medium under the copy.
fn is_of_the_medium(error: &io::Error) -> bool {
    /// `EIO` of Linux, macOS and the BSDs: the medium could not be read. And of
    /// Linux `EBADMSG` and `EUCLEAN`: the file system finds its own data bad.
    const CODES: &[i32] = if cfg!(target_os = "linux") { &[5, 74, 117] } else { &[5] };
    error.raw_os_error().is_some_and(|code| CODES.contains(&code))
}

/// The range's bytes, cut to the chunk. Less than half is copied: a small
/// piece that lives long should not keep the whole chunk in memory.
fn cut(whole: &Bytes, (start, end): (u32, u32)) -> Bytes {
    let end = (end as usize).min(whole.len());
    let start = (start as usize).min(end);
    if end - start < whole.len() / 2 { Bytes::copy_from_slice(&whole[start..end]) } else { whole.slice(start..end) }
}

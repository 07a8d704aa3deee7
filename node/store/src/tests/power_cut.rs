use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use shoal_ports::{Disk, DiskFile};

/// A disk in memory whose power goes after so many operations. What was not
/// synced then is there, is not, or is torn, as the seed wants.
#[derive(Clone)]
pub(super) struct PowerCut(Arc<Mutex<State>>);

/// A sync that the store leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeftOut {
    Nothing,
    FileSync,
    DirSync,
}

struct State {
    left_out: LeftOut,
    operations_left: u64,
    files: Vec<Content>,
    /// Names as they are, and as they would be after a cut.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    dirs: BTreeSet<String>,
    durable_dirs: BTreeSet<String>,
}

#[derive(Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync.
    changes: Vec<Change>,
}

enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => {
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Change::Len(bytes) => content.resize(*bytes, 0),
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl PowerCut {
    pub(super) fn new(operations: u64, left_out: LeftOut) -> Self {
        Self(Arc::new(Mutex::new(State {
            left_out,
            operations_left: operations,
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            durable_dirs: BTreeSet::new(),
        })))
    }

    /// The disk as it is when the power is back, for so many operations.
    pub(super) fn restarted(&self, operations: u64, mut random: impl FnMut(u64) -> u64) -> Self {
        let old = self.state();
        let restarted = Self::new(operations, old.left_out);
        let mut new = restarted.state();
        for dir in old.dirs.iter().chain(&old.durable_dirs) {
            if (old.durable_dirs.contains(dir) || random(2) == 0)
                && (parent(dir).is_empty() || new.dirs.contains(parent(dir)))
            {
                new.dirs.insert(dir.clone());
            }
        }
        let mut names: BTreeMap<&String, usize> = BTreeMap::new();
        for name in old.names.keys().chain(old.durable_names.keys()) {
            // A change of a directory that was not synced happened, or did not.
            let from = if random(2) == 0 { &old.names } else { &old.durable_names };
            if let Some(file) = from.get(name) {
                names.entry(name).or_insert(*file);
            }
        }
        for (name, file) in names {
            if !parent(name).is_empty() && !new.dirs.contains(parent(name)) {
                continue;
            }
            let content = &old.files[file];
            let mut bytes = content.durable.clone();
            for change in &content.changes {
                match (random(3), change) {
                    (0, change) => apply(&mut bytes, change),
                    (1, Change::Write(offset, whole)) => {
                        let kept = random(whole.len() as u64 + 1) as usize;
                        apply(&mut bytes, &Change::Write(*offset, whole[..kept].to_vec()));
                    }
                    _ => {}
                }
            }
            let at = new.files.len();
            new.files.push(Content { now: bytes.clone(), durable: bytes, changes: Vec::new() });
            new.names.insert(name.clone(), at);
        }
        new.durable_names = new.names.clone();
        new.durable_dirs = new.dirs.clone();
        drop(new);
        restarted
    }

    /// The same disk after the process alone has ended: nothing is lost by that,
    /// and nothing synced.
    pub(super) fn reopened(&self, operations: u64) -> Self {
        self.state().operations_left = operations;
        self.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// One operation that changes something.
    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.operations_left == 0 {
            return Err(io::Error::other("the power is off"));
        }
        state.operations_left -= 1;
        Ok(state)
    }
}

impl Disk for PowerCut {
    fn open(&self, path: &str, create: bool) -> io::Result<Box<dyn DiskFile>> {
        let known = self.state().names.get(path).copied();
        let file = match known {
            Some(file) => file,
            None if create => {
                let mut state = self.change()?;
                if !parent(path).is_empty() && !state.dirs.contains(parent(path)) {
                    return Err(ErrorKind::NotFound.into());
                }
                state.files.push(Content::default());
                let file = state.files.len() - 1;
                state.names.insert(path.into(), file);
                file
            }
            None => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Box::new(PowerCutFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.change()?;
        if !state.dirs.contains(parent(to)) && !parent(to).is_empty() {
            return Err(ErrorKind::NotFound.into());
        }
        let file = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.change()?.names.remove(path).map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn make_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.change()?;
        for (at, _) in path.match_indices('/') {
            state.dirs.insert(path[..at].into());
        }
        state.dirs.insert(path.into());
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = |name: &String| {
            let (dir, name) = name.rsplit_once('/').unwrap_or(("", name));
            (dir == path).then(|| name.to_owned())
        };
        Ok(state.names.keys().chain(&state.dirs).filter_map(inside).collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        let mut state = self.change()?;
        if state.left_out == LeftOut::DirSync {
            return Ok(());
        }
        let state = &mut *state;
        state.durable_names.retain(|name, _| parent(name) != path);
        let inside = state.names.iter().filter(|(name, _)| parent(name) == path);
        state.durable_names.extend(inside.map(|(name, file)| (name.clone(), *file)));
        state.durable_dirs.extend(state.dirs.iter().filter(|dir| parent(dir) == path).cloned());
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(1 << 40)
    }
}

struct PowerCutFile {
    disk: PowerCut,
    file: usize,
}

impl PowerCutFile {
    fn change(&self, change: Change) -> io::Result<()> {
        let mut state = self.disk.change()?;
        let content = &mut state.files[self.file];
        apply(&mut content.now, &change);
        content.changes.push(change);
        Ok(())
    }
}

impl DiskFile for PowerCutFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let from = offset as usize;
        let bytes = state.files[self.file].now.get(from..from + buffer.len()).ok_or(ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset as usize, bytes.to_vec()))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.file].now.len() as u64)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        self.change(Change::Len(bytes as usize))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.change()?;
        if state.left_out != LeftOut::FileSync {
            let content = &mut state.files[self.file];
            content.durable = content.now.clone();
            content.changes.clear();
        }
        Ok(())
    }
}

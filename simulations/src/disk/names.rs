use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::ops::Bound;
use std::sync::Arc;

use super::content::File;
use super::luck::Luck;

type Path = Arc<str>;

/// The names on a disk, as they are and as they would be after a power cut.
#[derive(Default)]
pub(super) struct Names {
    now: BTreeMap<Path, Entry>,
    durable: BTreeMap<Path, Entry>,
    /// From `durable` to `now`, in order.
    unsynced: VecDeque<Change>,
}

#[derive(Clone)]
enum Entry {
    Dir,
    File(File),
}

/// What an operation does to entries: there from now on, or not. A power cut
/// keeps all of it that is not durable yet, or nothing.
type Change = Vec<(Path, Option<Entry>)>;

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

impl Names {
    /// Changes kept unsynced. What is older goes to the disk by and by, as a
    /// journal does.
    const UNSYNCED_MAX: usize = 64;

    pub(super) fn file(&self, path: &str) -> io::Result<File> {
        match self.now.get(path) {
            Some(Entry::File(file)) => Ok(file.clone()),
            Some(Entry::Dir) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    pub(super) fn create(&mut self, path: &str, file: File) -> io::Result<()> {
        self.is_dir(parent(path))?;
        self.change(vec![(path.into(), Some(Entry::File(file)))]);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let file = self.file(from)?;
        self.is_dir(parent(to))?;
        if matches!(self.now.get(to), Some(Entry::Dir)) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if from != to {
            self.change(vec![(from.into(), None), (to.into(), Some(Entry::File(file)))]);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> io::Result<()> {
        self.file(path)?;
        self.change(vec![(path.into(), None)]);
        Ok(())
    }

    pub(super) fn make_dir(&mut self, path: &str) -> io::Result<()> {
        let above = path.match_indices('/').map(|(at, _)| &path[..at]);
        for dir in above.chain([path]).filter(|dir| !dir.is_empty()) {
            match self.now.get(dir) {
                Some(Entry::Dir) => {}
                Some(Entry::File(_)) => return Err(ErrorKind::NotADirectory.into()),
                None => self.change(vec![(dir.into(), Some(Entry::Dir))]),
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, path: &str) -> Vec<String> {
        let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.now
            .range::<str, _>((Bound::Included(inside.as_str()), Bound::Unbounded))
            .map_while(|(name, _)| name.strip_prefix(inside.as_str()))
            .filter(|name| !name.contains('/'))
            .map(str::to_owned)
            .collect()
    }

    /// Makes the entries of a directory durable.
    pub(super) fn sync(&mut self, dir: &str) -> io::Result<()> {
        self.is_dir(dir)?;
        for change in &mut self.unsynced {
            let (synced, rest) = std::mem::take(change).into_iter().partition(|(path, _)| parent(path) == dir);
            apply(&mut self.durable, synced);
            *change = rest;
        }
        self.unsynced.retain(|change| !change.is_empty());
        Ok(())
    }

    /// The power is gone and came again.
    pub(super) fn cut(&mut self, luck: &mut Luck) {
        for change in std::mem::take(&mut self.unsynced) {
            if luck.keeps() {
                apply(&mut self.durable, change);
            }
        }
        let mut dirs: BTreeSet<Path> = BTreeSet::new();
        // A directory comes before what is in it.
        self.durable.retain(|path, entry| {
            let reachable = parent(path).is_empty() || dirs.contains(parent(path));
            if reachable && matches!(entry, Entry::Dir) {
                dirs.insert(path.clone());
            }
            reachable
        });
        self.now = self.durable.clone();
        for (_, file) in self.files() {
            file.content().cut(luck);
        }
    }

    /// Every file that is there now.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.now.iter().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((&**path, file)),
            Entry::Dir => None,
        })
    }

    /// The files whose paths begin with `prefix` and that no power cut takes away.
    pub(super) fn durable_files(&self, prefix: &str) -> impl Iterator<Item = (&str, &File)> {
        let going: BTreeSet<&str> =
            self.unsynced.iter().flatten().filter_map(|(path, entry)| entry.is_none().then_some(&**path)).collect();
        self.durable
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .take_while(move |(path, _)| path.starts_with(prefix))
            .filter_map(move |(path, entry)| match entry {
                Entry::File(file) if !going.contains(&**path) && self.holds(parent(path)) => Some((&**path, file)),
                Entry::File(_) | Entry::Dir => None,
            })
    }

    /// Whether a directory and those above it are durable.
    fn holds(&self, dir: &str) -> bool {
        dir.is_empty() || (self.durable.contains_key(dir) && self.holds(parent(dir)))
    }

    fn is_dir(&self, path: &str) -> io::Result<()> {
        if path.is_empty() || matches!(self.now.get(path), Some(Entry::Dir)) {
            return Ok(());
        }
        Err(ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, change.clone());
        self.unsynced.push_back(change);
        if self.unsynced.len() > Self::UNSYNCED_MAX
            && let Some(oldest) = self.unsynced.pop_front()
        {
            apply(&mut self.durable, oldest);
        }
    }
}

fn apply(entries: &mut BTreeMap<Path, Entry>, change: Change) {
    for (path, entry) in change {
        match entry {
            Some(entry) => entries.insert(path, entry),
            None => entries.remove(&path),
        };
    }
}

//! Files written, read and synced without a store.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::super::pace::{Counts, Pace};
use super::checked;
use crate::failure::Failure;

/// Read or written at a time.
const PIECE_BYTES: usize = 1 << 20;

/// What is synced again and again: a page.
const SYNCED_BYTES: usize = 4 << 10;

/// How long all files took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) copy: Duration,
    pub(super) read: Duration,
    pub(super) checked_copy: Duration,
    pub(super) checked_read: Duration,
}

/// How long it takes to copy the files within `dir`, each synced, and to read
/// the copies; these are removed. Then the same once more, checked and over a
/// socket.
pub(super) fn copy_and_read(dir: &Path, files: &[PathBuf], at_once: usize) -> Result<Times, Failure> {
    let copies = dir.join("copies");
    let measured = (|| {
        let copy_time = copied(&copies, files, at_once, copy)?;
        let started = Instant::now();
        each(files, at_once, |file| read(&copies.join(file.file_name().unwrap_or_default())))?;
        let read_time = started.elapsed();
        let started = Instant::now();
        each(files, at_once, |file| checked::read(&copies.join(file.file_name().unwrap_or_default())))?;
        let checked_read_time = started.elapsed();
        fs::remove_dir_all(&copies)?;
        let checked_copy_time = copied(&copies, files, at_once, checked::copy)?;
        fs::remove_dir_all(&copies)?;
        Ok(Times { copy: copy_time, read: read_time, checked_copy: checked_copy_time, checked_read: checked_read_time })
    })();
    measured.map_err(|error| Failure::file("copy files to", &copies, &error))
}

/// How long it takes to copy the files into `dir`, which is made, each synced.
pub(super) fn copy_into(dir: &Path, files: &[PathBuf], at_once: usize) -> Result<Duration, Failure> {
    copied(dir, files, at_once, copy).map_err(|error| Failure::file("copy files to", dir, &error))
}

/// The same, checked and over a socket.
pub(super) fn checked_copy_into(dir: &Path, files: &[PathBuf], at_once: usize) -> Result<Duration, Failure> {
    copied(dir, files, at_once, checked::copy).map_err(|error| Failure::file("copy files to", dir, &error))
}

fn copied(
    dir: &Path,
    files: &[PathBuf],
    at_once: usize,
    copy: impl Fn(&Path, &Path) -> io::Result<()> + Sync,
) -> io::Result<Duration> {
    fs::create_dir(dir)?;
    let started = Instant::now();
    each(files, at_once, |file| copy(file, &dir.join(file.file_name().unwrap_or_default())))?;
    File::open(dir)?.sync_all()?;
    Ok(started.elapsed())
}

/// Does `work` for each file, several at a time.
fn each(files: &[PathBuf], at_once: usize, work: impl Fn(&Path) -> io::Result<()> + Sync) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(file)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(take)).collect();
        let ended =
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(io::Error::other("panicked"))));
        // All are waited for, whatever the first says.
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Through memory, as a store must: the system could else share the blocks.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(from)?, File::create(to)?);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match from.read(&mut piece)? {
            0 => return to.sync_data(),
            read => to.write_all(&piece[..read])?,
        }
    }
}

fn read(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE_BYTES];
    while file.read(&mut piece)? > 0 {}
    Ok(())
}

/// How fast a page is written and synced, over and over for `time`.
pub(super) fn syncs(dir: &Path, time: Duration) -> Result<Option<Pace>, Failure> {
    let path = dir.join("synced");
    let measured = (|| {
        let file = File::create(&path)?;
        let mut page = [0; SYNCED_BYTES];
        file.write_all_at(&page, 0)?;
        // From now on the file's length stays, as that of a store's registers mostly does.
        file.sync_all()?;
        let (started, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || started.elapsed() < time {
            let begun = Instant::now();
            page[0] = page[0].wrapping_add(1);
            file.write_all_at(&page, 0)?;
            file.sync_data()?;
            times.push(begun.elapsed());
        }
        let pace = Pace::of(Counts { times, ..Counts::default() }, started.elapsed());
        fs::remove_file(&path)?;
        Ok(pace)
    })();
    measured.map_err(|error| Failure::file("sync", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_copied_read_and_synced_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..5).map(|number| dir.path().join(number.to_string())).collect();
        for file in &files {
            fs::write(file, vec![1; PIECE_BYTES + 1]).unwrap();
        }
        let Times { copy, read, checked_copy, checked_read } = copy_and_read(dir.path(), &files, 2).unwrap();
        assert!([copy, read, checked_copy, checked_read].iter().all(|time| !time.is_zero()));
        assert!(syncs(dir.path(), Duration::ZERO).unwrap().unwrap().operations == 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), files.len());
    }

    #[test]
    fn a_copy_is_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::write(&from, vec![7; PIECE_BYTES + 1]).unwrap();
        copy(&from, &to).unwrap();
        assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    }

    #[test]
    fn an_error_of_one_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let files = [dir.path().join("missing")];
        assert!(copy_and_read(dir.path(), &files, 1).is_err());
    }
}

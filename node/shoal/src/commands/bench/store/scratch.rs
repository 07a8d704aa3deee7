//! A directory for one run, with the files that are copied and put.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::failure::Failure;

/// Of each large object: one chunk.
pub(super) const OBJECT_BYTES: u64 = 16 << 20;

/// How often, and after which pauses, the directory is removed once more.
const REMOVALS_MAX: u32 = 20;
const REMOVAL_PAUSE: Duration = Duration::from_millis(50);

/// Holds all that a run writes. Dropped, it is removed.
pub(super) struct Scratch {
    dir: Option<TempDir>,
    path: PathBuf,
    files: Vec<PathBuf>,
}

impl Scratch {
    /// Makes a directory in `parent` and in it `files` files, no two alike,
    /// so that no store keeps one for another. They are synced: what is
    /// measured next must not wait for their bytes.
    pub(super) async fn make(parent: Option<&Path>, files: usize) -> Result<Self, Failure> {
        let parent = parent.map_or_else(std::env::temp_dir, Path::to_path_buf);
        let fail = |error: &io::Error| Failure::file("make a directory in", &parent, error);
        fs::create_dir_all(&parent).map_err(|error| fail(&error))?;
        let dir = tempfile::Builder::new().prefix("shoal-bench-").tempdir_in(&parent).map_err(|error| fail(&error))?;
        let path = dir.path().to_path_buf();
        let files = (0..files).map(|number| path.join(format!("source-{number:06}.bin"))).collect();
        let scratch = Self { path, files, dir: Some(dir) };
        let files = scratch.files.clone();
        blocking(move || files.iter().enumerate().try_for_each(|(number, file)| fill(file, number as u64))).await?;
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Of all files together.
    pub(super) fn bytes(&self) -> u64 {
        self.files.len() as u64 * OBJECT_BYTES
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        let path = dir.keep();
        // Peers that were just killed, and threads of ours that nobody waits
        // for, may still make a file in it.
        for _ in 0..REMOVALS_MAX {
            match fs::remove_dir_all(&path) {
                Ok(()) => return,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(_) => std::thread::sleep(REMOVAL_PAUSE),
            }
        }
        eprintln!("warning: '{}' could not be removed", path.display());
    }
}

/// Writes a file of bytes that follow from `number` and do not repeat.
fn fill(path: &Path, number: u64) -> Result<(), Failure> {
    let mut piece = vec![0; 1 << 20];
    let mut source = blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof();
    let mut write = || {
        let mut file = File::create(path)?;
        for _ in 0..OBJECT_BYTES / piece.len() as u64 {
            source.fill(&mut piece);
            file.write_all(&piece)?;
        }
        file.sync_all()
    };
    write().map_err(|error| Failure::file("write", path, &error))
}

/// Runs what blocks on a thread of its own.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Failure::request(error, ""))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn its_files_differ_and_go_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let scratch = Scratch::make(Some(parent.path()), 2).await.unwrap();
        let read = |at: usize| fs::read(&scratch.files()[at]).unwrap();
        assert_eq!(read(0).len() as u64, OBJECT_BYTES);
        assert_eq!(scratch.bytes(), 2 * OBJECT_BYTES);
        assert!(read(0) != read(1));
        drop(scratch);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}

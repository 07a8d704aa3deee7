//! What is copied without a mesh, right beside what one is put.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::scratch::{Scratch, blocking};
use super::super::{LARGE_AT_ONCE, mb_per_second};
use super::disk;
use crate::failure::Failure;

/// Copies of the files of a [`Scratch`], made before and after something else.
///
/// A system may give out memory quickly that was in use just before, and slowly
/// what was not: copies that are removed again make the next ones fast. So none
/// is, and what is measured in between has no better and no worse memory.
pub(in super::super) struct Beside {
    dir: PathBuf,
    bytes: u64,
    rounds: u32,
    copy: Duration,
    checked_copy: Duration,
}

impl Beside {
    /// In a directory that is made, and is for the caller to remove.
    pub(in super::super) fn new(dir: PathBuf, scratch: &Scratch) -> Self {
        Self { dir, bytes: scratch.bytes(), rounds: 0, copy: Duration::ZERO, checked_copy: Duration::ZERO }
    }

    /// Copies all files, and copies them checked, which of the two first in turn.
    pub(in super::super) async fn round(&mut self, scratch: &Scratch) -> Result<(), Failure> {
        let (files, dir) = (scratch.files().to_vec(), self.dir.clone());
        let round = self.rounds;
        let (copy, checked) = blocking(move || {
            fs::create_dir_all(&dir).map_err(|error| Failure::file("make the directory", &dir, &error))?;
            let plain = |dir: &Path| disk::copy_into(&dir.join(format!("copies-{round}")), &files, LARGE_AT_ONCE);
            let checked =
                |dir: &Path| disk::checked_copy_into(&dir.join(format!("checked-{round}")), &files, LARGE_AT_ONCE);
            if round.is_multiple_of(2) {
                let copy = plain(&dir)?;
                Ok((copy, checked(&dir)?))
            } else {
                let checked = checked(&dir)?;
                Ok((plain(&dir)?, checked))
            }
        })
        .await?;
        self.rounds += 1;
        self.copy += copy;
        self.checked_copy += checked;
        Ok(())
    }

    pub(in super::super) fn copy_mb_per_second(&self) -> f64 {
        mb_per_second(self.bytes * u64::from(self.rounds), self.copy)
    }

    pub(in super::super) fn checked_copy_mb_per_second(&self) -> f64 {
        mb_per_second(self.bytes * u64::from(self.rounds), self.checked_copy)
    }
}

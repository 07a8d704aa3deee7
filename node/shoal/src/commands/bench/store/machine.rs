//! What the machine can do without a mesh.

pub(super) mod beside;
mod checked;
mod disk;
mod hashes;
mod loopback;

use std::time::Duration;

use serde::Serialize;

use super::LARGE_AT_ONCE;
use super::pace::Pace;
use super::scratch::{Scratch, blocking};
use crate::failure::Failure;
use crate::system::cores;

/// For how long each hash, and the stream over loopback, is run.
const MEMORY_TIME: Duration = Duration::from_millis(500);

/// The bounds that a mesh on this machine is held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename = "machine")]
pub(super) struct Machine {
    pub(super) cores: usize,
    /// Of the large objects together.
    pub(super) bytes: u64,
    /// Files copied or read, and objects put or got, at a time.
    pub(super) at_once: usize,
    /// Files of 16 MiB copied, each synced, and their directory at the end.
    pub(super) copy_mb_per_second: f64,
    /// The copies read, each from its beginning to its end, out of the page cache.
    pub(super) read_mb_per_second: f64,
    /// The same copying over TCP streams of loopback, with BLAKE3: what
    /// a put of one copy cannot do without.
    pub(super) checked_copy_mb_per_second: f64,
    /// The same reading with BLAKE3, and over TCP streams: what a get cannot
    /// do without.
    pub(super) checked_read_mb_per_second: f64,
    /// On one core.
    pub(super) blake3_mb_per_second: f64,
    /// One TCP stream.
    pub(super) loopback_mb_per_second: f64,
    /// 4 KiB written over each other and synced (fdatasync), one after the other.
    pub(super) sync: Option<Pace>,
}

impl Machine {
    /// Leaves nothing behind in `scratch`.
    pub(super) async fn measure(scratch: &Scratch, time: Duration) -> Result<Self, Failure> {
        let (dir, files, bytes) = (scratch.path().to_path_buf(), scratch.files().to_vec(), scratch.bytes());
        blocking(move || {
            let times = disk::copy_and_read(&dir, &files, LARGE_AT_ONCE)?;
            Ok(Self {
                cores: cores(),
                bytes,
                at_once: LARGE_AT_ONCE,
                copy_mb_per_second: super::mb_per_second(bytes, times.copy),
                read_mb_per_second: super::mb_per_second(bytes, times.read),
                checked_copy_mb_per_second: super::mb_per_second(bytes, times.checked_copy),
                checked_read_mb_per_second: super::mb_per_second(bytes, times.checked_read),
                blake3_mb_per_second: hashes::blake3_mb_per_second(MEMORY_TIME),
                loopback_mb_per_second: loopback::mb_per_second(MEMORY_TIME)?,
                sync: disk::syncs(&dir, time)?,
            })
        })
        .await
    }
}

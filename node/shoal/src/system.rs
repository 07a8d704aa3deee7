//! The real world, as a peer's ports: time, randomness, tasks, files.

mod clock;
mod files;
mod machine;
mod parent;
mod rng;
mod spawner;

use std::time::Duration;

pub(crate) use clock::SystemClock;
pub(crate) use files::SystemFiles;
pub(crate) use machine::{cores, host_name, machine};
pub(crate) use parent::end_with_parent;
pub(crate) use rng::OsRng;
pub(crate) use spawner::TokioSpawner;

use crate::failure::Failure;

/// Threads that may block on a disk at once. More only queue at the disk.
const BLOCKING_THREADS_MAX: usize = 64;

/// How long an idle blocking thread is kept.
const BLOCKING_IDLE: Duration = Duration::from_secs(10);

/// The runtime of everything but queries, which have the engine's own.
pub(crate) fn async_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores().clamp(2, 8))
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_IDLE)
        .thread_name("shoal")
        .enable_all()
        .build()
        .map_err(|error| Failure::request(format!("cannot start threads: {error}"), ""))
}

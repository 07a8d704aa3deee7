//! What a peer keeps on its disk: chunks by hash, and the acceptor state of
//! its registers.
//!
//! ```text
//!   DATA/
//!     lock                 held while a process uses the directory; its pid
//!     tmp/                 chunks being written; emptied at open
//!     chunks/ab/cdef…      a chunk, named by its BLAKE3 hash
//!     chunks/ab/cdef….r1   one of which there are to be so many copies
//!     quarantine/abcdef….0 a copy that was not what its name says
//!     registers.redb       acceptor state and notes: a B-tree, copy on write
//!     registers.0.log      what it has not taken over yet; one is written while
//!     registers.1.log      the other is taken over
//! ```
//!
//! - [`LocalStore`] implements [`Store`](shoal_ports::Store) over any
//!   [`Disk`](shoal_ports::Disk): what `Ok` was said to survives a power cut.
//! - [`LocalDisk`] is a directory of this machine as such a disk.
//!
//! Three promises hold throughout. *Acknowledged is synced*: temporary file,
//! data sync, rename, directory sync, then `Ok`. *Read is verified*: bytes
//! that do not hash to the chunk's name are never handed out. *A failed sync
//! is final*: what the kernel did with the unsynced pages is unknown, so the
//! store refuses every later write until the peer starts anew.

mod chunks;
mod config;
mod health;
mod local_disk;
mod registers;
mod store;
#[cfg(test)]
mod tests;

pub use config::StoreConfig;
pub use local_disk::LocalDisk;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use registers::fuzzing;
pub use store::LocalStore;

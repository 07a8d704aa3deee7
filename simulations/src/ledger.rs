//! What the world knows for certain: what was promised to clients, where
//! copies really are, and how every job ended.

mod appends;
mod copies;
mod history;
mod jobs;
mod layouts;
mod registers;

use shoal_types::ChunkId;

use crate::workload;

pub(crate) use appends::{Appended, Read};
pub(crate) use copies::{Copies, Damage};
pub(crate) use history::{History, Kind as OperationKind, Operation, OperationId, Outcome};
pub(crate) use jobs::{JobEnd, JobRecord, Jobs, Run};
pub(crate) use layouts::{Layouts, Place};
pub(crate) use registers::Registers;

/// Kept by the world beside the mesh; no peer sees it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) copies: Copies,
    pub(crate) history: History,
    pub(crate) appended: Appended,
    pub(crate) jobs: Jobs,
    pub(crate) layouts: Layouts,
    pub(crate) registers: Registers,
    pub(crate) looks: Looks,
}

/// How often it was looked for what had been acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Looks {
    /// Whole chunks that were handed out.
    pub(crate) chunks: u64,
    /// Chunks and registers that were looked for.
    pub(crate) kept: u64,
    /// Former versions that were asked for.
    pub(crate) former: u64,
}

impl Ledger {
    /// Whether a chunk that clients were promised is still to be kept: some
    /// name that they know it by lists it now.
    pub(crate) fn is_wanted(&self, chunk: ChunkId) -> bool {
        self.copies.names(chunk).any(|name| self.registers.lists(name, chunk))
    }

    /// The most copies that any name wants that lists a chunk now, where the mesh has `default`.
    pub(crate) fn copies_wanted(&self, chunk: ChunkId, default: u32) -> u32 {
        let listing = self.copies.names(chunk).filter(|name| self.registers.lists(name, chunk));
        listing.map(|name| workload::copies_of(name, default)).max().unwrap_or(default)
    }
}

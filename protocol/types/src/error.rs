//! What goes wrong, in a form that survives the wire and tells what to do.

mod cause;

use serde::{Deserialize, Serialize};

use crate::{ChunkId, MeshId, OutputId, PeerId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure that one part of the mesh tells another of.
///
/// The variants are shaped by what the receiver can do ([`Error::class`]):
/// a user's error is final, a peer's failure is tried elsewhere, a bug is
/// reported as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// What was asked for cannot be done as asked: a name, an option, a query.
    #[error("{what}")]
    Invalid { what: String, hint: String },
    /// There is no such thing.
    #[error("{what}")]
    NotFound { what: String, hint: String },
    /// A conditional write found another version.
    #[error("'{name}' is not what was expected: {found}")]
    Conflict { name: String, found: String },
    /// User data that is not what its format says.
    #[error("{object}: {what}")]
    BadData { object: String, what: String, hint: String },
    /// A task asked for more memory than a task may have.
    #[error("out of memory budget: {what}")]
    OutOfMemory { what: String },
    /// Somebody cancelled it.
    #[error("cancelled")]
    Cancelled,

    /// A peer cannot be reached, or went away in the middle.
    #[error("peer {} cannot be reached: {why}", .peer.short())]
    Unreachable { peer: PeerId, why: String },
    /// Too few of the peers that must agree answered.
    #[error("no quorum for {what}: {answered} of {needed} needed peers answered")]
    NoQuorum { what: String, answered: u32, needed: u32 },
    /// It did not happen in time; whether it will is unknown.
    #[error("{what} took longer than {ms} ms")]
    Timeout { what: String, ms: u64 },
    /// The peer has as much work as it may have.
    #[error("peer {} is busy", .peer.short())]
    Busy { peer: PeerId, retry_after_ms: u64 },
    /// The sender's layout is not the receiver's.
    #[error("layout version {theirs} was sent, version {ours} is in force")]
    StaleLayout { theirs: u64, ours: u64 },
    /// No holder has the chunk, or none has it whole.
    #[error("chunk {} has no whole copy on any reachable peer", .chunk.short())]
    ChunkLost { chunk: ChunkId },
    /// An exchange output is gone with its holder: run its producer again.
    #[error("output {output} is not on peer {} any more", .holder.short())]
    OutputLost { output: OutputId, holder: PeerId },
    /// A disk has no room.
    #[error("the disk of peer {} is full ({free_bytes} bytes free, {needed_bytes} needed)", .peer.short())]
    DiskFull { peer: PeerId, free_bytes: u64, needed_bytes: u64 },
    /// A disk failed; it is not tried again until the peer restarts.
    #[error("the disk of peer {} failed: {why}", .peer.short())]
    DiskFailed { peer: PeerId, why: String },
    /// It is starting or stopping.
    #[error("peer {} is not ready: {why}", .peer.short())]
    NotReady { peer: PeerId, why: String },
    /// Bytes from a peer that do not decode.
    #[error("bad bytes from a peer: {what}")]
    BadFrame { what: String },
    /// Every attempt failed; the first cause, which is no `Exhausted` itself
    /// ([`Error::exhausted`]).
    #[error("task {task} failed {attempts} times; the first cause: {cause}")]
    Exhausted {
        task: String,
        attempts: u32,
        #[serde(deserialize_with = "cause::deserialize")]
        cause: Box<Error>,
    },
    /// Our own invariant broke.
    #[error("internal error, please report it: {what}")]
    Bug { what: String },
    /// A peer was started with another number of copies of each chunk than its
    /// mesh has, or the one that it was to join.
    #[error("mesh {} keeps {theirs} copies of each chunk, and this peer was started with --replicas {wanted}", .mesh.short())]
    OtherReplicas { mesh: MeshId, theirs: u32, wanted: u32 },
}

/// What the receiver of an [`Error`] can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The request is wrong: never tried again.
    User,
    /// A peer, link or disk failed: tried again, elsewhere if possible.
    Retry,
    /// We are wrong.
    Bug,
}

impl Error {
    pub fn invalid(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), hint: hint.into() }
    }

    pub fn not_found(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotFound { what: what.into(), hint: hint.into() }
    }

    /// Of a cause that is of this kind itself, the cause of that is told.
    pub fn exhausted(task: impl Into<String>, attempts: u32, cause: Self) -> Self {
        let cause = match cause {
            Self::Exhausted { cause, .. } => cause,
            other => Box::new(other),
        };
        Self::Exhausted { task: task.into(), attempts, cause }
    }

    pub fn bug(what: impl Into<String>) -> Self {
        Self::Bug { what: what.into() }
    }

    /// How a conflict begins of which nobody knows whether it is one: with
    /// others, or with the write itself.
    pub const IN_DOUBT: &str = "whether the change was made is unknown";

    /// How one begins of which nobody can know it any more: so many others came
    /// since that its id would be forgotten. It begins with [`Error::IN_DOUBT`].
    pub const LOST_SIGHT_OF: &str = "whether the change was made is unknown and cannot be told any more";

    /// Whether what failed so may be in effect, or come to be. A write that has
    /// an id may be asked for again, unless it [was lost sight of](Self::is_lost_sight_of).
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Unreachable { .. } => true,
            Self::Conflict { found, .. } => found.starts_with(Self::IN_DOUBT),
            _ => false,
        }
    }

    /// Whether it is in doubt for good: asked for again, also under the same
    /// id, it may be made twice.
    pub fn is_lost_sight_of(&self) -> bool {
        matches!(self, Self::Conflict { found, .. } if found.starts_with(Self::LOST_SIGHT_OF))
    }

    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid { .. }
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::BadData { .. }
            | Self::OutOfMemory { .. }
            | Self::Cancelled
            | Self::OtherReplicas { .. } => ErrorClass::User,
            Self::Unreachable { .. }
            | Self::NoQuorum { .. }
            | Self::Timeout { .. }
            | Self::Busy { .. }
            | Self::StaleLayout { .. }
            | Self::ChunkLost { .. }
            | Self::OutputLost { .. }
            | Self::DiskFull { .. }
            | Self::DiskFailed { .. }
            | Self::NotReady { .. }
            | Self::BadFrame { .. } => ErrorClass::Retry,
            Self::Exhausted { cause, .. } => cause.class(),
            Self::Bug { .. } => ErrorClass::Bug,
        }
    }

    /// What to do next, on a line of its own; empty when there is nothing to say.
    pub fn hint(&self) -> String {
        match self {
            Self::Invalid { hint, .. } | Self::NotFound { hint, .. } | Self::BadData { hint, .. } => hint.clone(),
            Self::Conflict { .. } if self.is_lost_sight_of() => {
                "look at the object: asked for again, it may be made twice".into()
            }
            Self::Conflict { .. } => "read the current version and decide again".into(),
            Self::OutOfMemory { .. } => "give tasks more with --task-memory, or make the query smaller".into(),
            Self::Unreachable { .. } => "see who is there with: shoal status".into(),
            Self::NoQuorum { .. } => {
                "more than half of the peers that keep a name must be up, and two that take a chunk; see who is with: \
                 shoal status"
                    .into()
            }
            Self::Timeout { .. } => "trying again is safe".into(),
            Self::Busy { retry_after_ms, .. } => format!("try again in {retry_after_ms} ms"),
            Self::StaleLayout { .. } | Self::NotReady { .. } => "try again in a moment".into(),
            Self::ChunkLost { .. } => {
                "bring back a peer that held it (shoal status shows who is missing), or put the object again".into()
            }
            Self::OutputLost { .. } | Self::Cancelled | Self::BadFrame { .. } => String::new(),
            Self::DiskFull { .. } => "free some space there (shoal rm), or add a peer".into(),
            Self::DiskFailed { .. } => "replace the disk, then restart that peer".into(),
            Self::Exhausted { cause, .. } => cause.hint(),
            Self::OtherReplicas { theirs, .. } => format!(
                "leave --replicas out, or give {theirs}; for single buckets: shoal bucket set BUCKET --copies N"
            ),
            Self::Bug { .. } => "RUST_LOG=debug tells more; include its output in the report".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_sight_of_is_in_doubt_and_not_every_doubt_is_that() {
        let conflict = |found: &str| Error::Conflict { name: "b/k".into(), found: format!("{found}: others") };
        let of = |error: Error| (error.is_in_doubt(), error.is_lost_sight_of());
        assert_eq!(of(conflict(Error::LOST_SIGHT_OF)), (true, true));
        assert_eq!(of(conflict(Error::IN_DOUBT)), (true, false));
        assert_eq!(of(conflict("it has ETag 7")), (false, false));
        assert_eq!(of(Error::Timeout { what: "an append".into(), ms: 1 }), (true, false));
    }
}

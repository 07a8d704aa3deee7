//! What peers say to each other, call by call and flow by flow.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Ballot, ChunkId, Copies, FragmentId, JobId, JobSummary, Layout, LayoutId, MeshId, Moving, OutputId, PeerCondition,
    PeerId, PeerInfo, RegisterEntry, RegisterKey, RegisterKind, RegisterOp, RegisterPlace, RegisterReply, RegisterSpan,
    RoleChange, Secrets, TaskSpec,
};

/// A hint: small, unanswered, sometimes lost. No truth about data or jobs
/// travels this way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gossip {
    /// A packet of the failure detector.
    Swim(Bytes),
    /// This incarnation of the receiver is held to be dead.
    Dead { incarnation: u64 },
    /// This incarnation of the receiver is known, which is later than the one
    /// that it speaks as.
    Outdated { incarnation: u64 },
    /// This incarnation of the sender goes, on purpose.
    Leaving { incarnation: u64 },
    /// What the sender says of itself since it changed that.
    Info(Box<PeerInfo>),
    /// The layout that the sender knows.
    Layout { mesh: MeshId, version: u64, replicas: u32 },
    /// The sender belongs to no mesh, and would be taken in.
    Homeless,
}

/// A call: small, with a deadline, answered by one [`Response`] or an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The latest committed layout that the receiver knows.
    LayoutGet,
    /// A committed layout, for a peer that may not have it yet. Done when it,
    /// or a later one, is in force there, and on its disk.
    LayoutLearn(Layout),
    /// Whether the receiver has brought everything it holds to the owners of
    /// this layout.
    LayoutSynced(LayoutId),
    /// An operation on a register of which the receiver is an acceptor under
    /// that layout.
    Register {
        layout: LayoutId,
        key: RegisterKey,
        op: RegisterOp,
    },
    /// Registers in the order of their keys, after `after`, for one who works
    /// under that layout: whoever is under another one refuses.
    RegisterScan {
        layout: LayoutId,
        span: RegisterSpan,
        after: Option<RegisterPlace>,
        limit: u32,
    },
    /// Which of these chunks the receiver holds.
    ChunkHas {
        chunks: Vec<ChunkId>,
    },
    /// As [`Request::ChunkHas`], of those who bring copies about: of each chunk
    /// there are to be so many, and what the receiver holds is as wanted from
    /// then on. It may have been away when that was said.
    ChunkKept {
        chunks: Vec<(ChunkId, Copies)>,
    },
    /// The receiver tries whether these addresses of the sender can be reached
    /// from where it is, and says what time it is there.
    Examine {
        addresses: Vec<String>,
    },
    /// The secrets that the sender knows; the answer are the receiver's,
    /// who has learned from these.
    SecretsLearn(Secrets),
    /// The receiver is to take another part in keeping the data.
    RoleChange(RoleChange),
    /// Jobs that the receiver coordinates or coordinated lately.
    JobList,
    /// One of them, whole.
    JobShow {
        job: JobId,
    },
    /// Whether the receiver is coordinating it now: whoever keeps outputs for
    /// it and hears nothing asks.
    JobRuns {
        job: JobId,
    },
    JobCancel {
        job: JobId,
    },
    /// The job is over: its outputs can go.
    JobRelease {
        job: JobId,
    },
    /// Whether the receiver can give up its mesh for one of so many copies of
    /// each chunk: it keeps nothing, no name and no chunk, and was not started
    /// with another number.
    IsEmpty {
        replicas: u32,
    },
    /// What the receiver is bringing to its owners.
    Moving,
    /// How the receiver's disk is, and the copies on it.
    Condition,
    /// Whether the receiver has this chunk whole and synced, for a put that
    /// counts on a yes as on a copy that it brought itself, of so many that
    /// there are to be: unlike
    /// [`Request::ChunkHas`] it is a use of the chunk, and no mere look.
    /// Answered by [`Response::Has`] of one.
    ChunkWanted {
        chunk: ChunkId,
        copies: Copies,
    },
    /// The sender is about to list these chunks in a manifest: which of them
    /// the receiver holds, and keeps for it, of so many copies that there are
    /// to be.
    ChunkClaim {
        chunks: Vec<ChunkId>,
        copies: Copies,
    },
    /// What the receiver knows to be referred to of the chunks that the sender
    /// owns under that layout, and of those `beside`; a page of it.
    References {
        layout: LayoutId,
        beside: Vec<ChunkId>,
        from: ReferencesFrom,
    },
    /// Whether the receiver has let go of all registers of which it is no
    /// acceptor under that settled layout.
    RegistersSwept(LayoutId),
    /// Sums over what the receiver has accepted, in registers of which the
    /// sender is an acceptor, too, under that layout: of 256 branches, or of
    /// the 256 leaves of one.
    RegisterSums {
        layout: LayoutId,
        branch: Option<u8>,
    },
    /// The ballots of those of them that belong to these leaves, in the order
    /// of their keys, from there on.
    RegisterBallots {
        layout: LayoutId,
        leaves: Vec<u16>,
        kind: RegisterKind,
        after: Option<RegisterPlace>,
    },
    /// Sums over the chunks that the receiver holds of which both are owners
    /// under that layout: of 256 branches, or of the 256 leaves of one. `total`
    /// is what the sender's own come to.
    ChunkSums {
        layout: LayoutId,
        branch: Option<u8>,
        total: u64,
    },
}

/// Where a page of [`Request::References`] begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReferencesFrom {
    /// Chunks that jobs and readers use now, after this one.
    InUse(Option<ChunkId>),
    /// Those that registers of this kind list which it knows, after this place.
    Registers(RegisterKind, Option<RegisterPlace>),
}

/// The answer to a [`Request`] of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    Done,
    Layout(Option<Layout>),
    /// The members that the receiver could not bring anything to, because it
    /// held them to be dead; `None` while it is not done.
    Synced(Option<Vec<PeerId>>),
    Register(RegisterReply),
    Entries {
        entries: Vec<RegisterEntry>,
        more: bool,
    },
    Has(Vec<bool>),
    Jobs(Vec<JobSummary>),
    Job(Option<JobSummary>),
    Runs(bool),
    Secrets(Secrets),
    Examined(Examined),
    Empty(bool),
    /// `None` while it brings nothing.
    Moving(Option<Moving>),
    Condition(PeerCondition),
    /// The first eight bytes of each chunk's id, and where the next page begins.
    References {
        chunks: Vec<u64>,
        next: Option<ReferencesFrom>,
    },
    /// To [`Request::RegistersSwept`].
    Swept(bool),
    /// `None` while the receiver has not looked through its registers under
    /// that layout.
    RegisterSums(Option<Vec<u64>>),
    /// What was accepted last, register by register, and where the next page begins.
    RegisterBallots {
        ballots: Vec<(RegisterKey, Ballot)>,
        next: Option<(RegisterKind, Option<RegisterPlace>)>,
    },
    /// `None` while the receiver has none under that layout; nothing where they
    /// come to the sender's total.
    ChunkSums(Option<Vec<u64>>),
}

/// What a peer says when it is asked to examine another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// Its wall clock, in ms since the epoch.
    pub wall_ms: u64,
    /// Addresses that it cannot reach, each with the reason in words.
    pub unreachable: Vec<(String, String)>,
}

/// How a flow of frames begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FlowHeader {
    /// The sender's frames are the chunk; one `Result<(), Error>` comes back
    /// once it is synced.
    ChunkPut { chunk: ChunkId, bytes: u32, copies: Copies },
    /// The receiver's frames: a `Result<u32, Error>` with the length, then
    /// the bytes of the range (start, end), or all.
    ChunkGet { chunk: ChunkId, range: Option<(u32, u32)> },
    /// The receiver's frames: a `Result<u32, Error>` with the length, then a
    /// stage's plan fragment.
    FragmentGet { job: JobId, fragment: FragmentId },
    /// Runs the task; one `Result<TaskReport, Error>` comes back. Closing
    /// the flow cancels the task.
    TaskRun(TaskSpec),
    /// The receiver's frames: a `Result<(), Error>`, then one bucket of an output.
    OutputGet { output: OutputId, bucket: u32 },
    /// Reads all copies of the receiver, so many bytes a second at most. Its
    /// frames: a `Result<ScrubProgress, Error>` each second or so, the last of
    /// which says that it is. Closing the flow stops the scrub.
    Scrub { bytes_per_second: u64 },
    /// As `ChunkPut`, of a copy that was missing: nobody waits for it, and the
    /// receiver may take its time. It is sent the bytes once it has said, by a
    /// `Result<(), Error>` of its own, that their turn has come.
    ChunkRepair { chunk: ChunkId, bytes: u32, copies: Copies },
    /// The receiver's frames: a `Result<SliceProof, Error>`, then the bytes of
    /// that slice, which has the range (start, end) in it.
    ChunkSlice { chunk: ChunkId, range: (u32, u32) },
    /// Queues up to change a register. The receiver's frames: a
    /// `Result<RegisterTurn, Error>` each half second while it waits, and one
    /// when its turn begins, which is over after a second. Closing the flow
    /// ends either.
    RegisterTurn { key: RegisterKey },
}

/// Whether it is a peer's turn to change a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RegisterTurn {
    /// Others come first.
    Waits,
    Begins,
}

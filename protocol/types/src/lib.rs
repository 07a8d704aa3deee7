//! The nouns of the mesh, and the bytes that carry them.
//!
//! Everything that two parts of Shoal say to each other is a type here: who
//! ([`PeerId`], [`Member`], [`Layout`]), what is kept ([`ChunkId`],
//! [`Manifest`], [`ObjectName`]), what is decided by compare-and-set
//! ([`Ballot`], [`RegisterKey`]), what is computed ([`JobPlan`], [`TaskSpec`],
//! [`OutputId`]), what goes wrong ([`Error`]), and the frames between peers
//! ([`Request`], [`Response`], [`FlowHeader`], [`wire`]).
//!
//! The crate decides nothing and touches nothing: no clock, socket, disk,
//! task or randomness.

mod append;
mod bucket;
mod condition;
mod copies;
mod error;
mod hashed;
mod ids;
mod job;
mod layout;
mod moving;
mod object;
mod peer;
mod peer_map;
mod recognition;
mod register;
mod role;
mod rpc;
mod secret;
mod slice;
mod sums;
pub mod wire;

pub use append::Appends;
pub use bucket::{BucketChange, BucketName, BucketSettings};
pub use condition::{DiskState, LastScrub, PeerCondition, ScrubProgress};
pub use copies::Copies;
pub use error::{Error, ErrorClass, Result};
pub use hashed::HashedChunk;
pub use ids::{AppendId, ChunkId, FragmentId, JobId, MeshId, ParseIdError, PeerId, StageId, TaskId};
pub use job::{
    Fingerprint, InputPin, JobEvent, JobPlan, JobState, JobSummary, OutputId, Query, StageInput, StagePlan,
    StageProgress, TaskReport, TaskSpec,
};
pub use layout::{Layout, LayoutId, Member};
pub use moving::{MeshMoving, Moving};
pub use object::{ChunkRef, Etag, Format, Manifest, NameValue, ObjectEntry, ObjectName};
pub use peer::{Health, MemberStatus, PeerInfo, Status};
pub use peer_map::{PeerIdHasher, PeerMap};
pub use register::{
    AcceptReply, Ballot, PrepareReply, RegisterEntry, RegisterKey, RegisterKind, RegisterOp, RegisterPlace,
    RegisterReply, RegisterSpan,
};
pub use role::RoleChange;
pub use rpc::{Examined, FlowHeader, Gossip, ReferencesFrom, RegisterTurn, Request, Response};
pub use secret::{SecretText, Secrets};
pub use slice::SliceProof;
pub use sums::Sums;

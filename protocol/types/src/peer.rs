//! What a peer says of itself, and what the mesh says of a peer.

use serde::{Deserialize, Serialize};

use crate::{Layout, MeshId, PeerId};

/// What a peer says of itself when a link to it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerInfo {
    pub id: PeerId,
    pub name: String,
    pub zone: String,
    pub weight: u32,
    /// Where it listens for peers, as `HOST:PORT`. At most [`PeerInfo::ADDRESSES_MAX`].
    pub addresses: Vec<String>,
    /// The version of the Shoal binary.
    pub version: String,
    /// When this incarnation started, in ms since the epoch: a later one of
    /// the same peer replaces an earlier.
    pub incarnation: u64,
    /// The machine, hashed, so that peers on one machine know it.
    pub machine: u64,
    pub pid: u32,
    /// Tasks that it runs at once.
    pub slots: u32,
    /// Where its HTTP gateway listens, if it does.
    pub gateway: Option<String>,
}

impl PeerInfo {
    /// More addresses than this are cut off.
    pub const ADDRESSES_MAX: usize = 16;
}

/// Whether a member is there, as the observer believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Alive,
    /// It did not answer; others are being asked.
    Suspected,
    Dead,
    /// It said that it goes.
    Leaving,
}

impl Health {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Dead => "dead",
            Self::Leaving => "leaving",
        }
    }
}

/// A line of `shoal status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberStatus {
    pub id: PeerId,
    pub info: PeerInfo,
    pub health: Health,
    /// Whether it is in the layout, i.e. holds a share of the data.
    pub in_layout: bool,
    pub is_self: bool,
}

/// The mesh as one peer sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub mesh: Option<MeshId>,
    pub members: Vec<MemberStatus>,
    pub layout: Option<Layout>,
    /// What is wrong or under way, in words, most urgent first.
    pub notices: Vec<String>,
    /// Chunks and bytes on this peer's disk.
    pub chunks: u64,
    pub chunk_bytes: u64,
    pub disk_free_bytes: u64,
}

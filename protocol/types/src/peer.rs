//! What a peer says of itself, and what the mesh says of a peer.

use serde::{Deserialize, Serialize};

use crate::{Layout, MeshId, Moving, PeerId};

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
    /// It hands its data over to others, and then goes for good.
    pub leaves: bool,
    /// Counts the changes of its name, zone, weight, and whether it leaves:
    /// what it says later replaces what it said before, whoever says it on.
    pub revision: u64,
    /// The mesh that it is of, if it is of one: as it was when it said so.
    pub mesh: Option<MeshId>,
    /// Copies of each chunk in that mesh; where it is of none, without which it
    /// joins none. `None` where any number will do.
    pub replicas: Option<u32>,
}

impl PeerInfo {
    /// More addresses than this are cut off.
    pub const ADDRESSES_MAX: usize = 16;

    /// No name, zone, version or address is longer, in bytes.
    pub const WORD_BYTES_MAX: usize = 260;

    /// Whether it is of a size to be believed when it comes from another peer.
    pub fn fits(&self) -> bool {
        let words = [&self.name, &self.zone, &self.version].into_iter().chain(&self.gateway).chain(&self.addresses);
        self.addresses.len() <= Self::ADDRESSES_MAX && words.into_iter().all(|word| word.len() <= Self::WORD_BYTES_MAX)
    }
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
    /// Its part of all copies by the layout's present members, in millionths.
    pub share_ppm: u32,
    /// For how long the observer has seen it in this health, in ms.
    pub since_ms: u64,
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
    /// What this peer is bringing to its owners; `None` while it brings nothing.
    pub moving: Option<Moving>,
    /// How often the mesh's secret was changed.
    pub secret_generation: u64,
    /// Whether the one before admits too, since not all members know the new one.
    pub secret_changing: bool,
}

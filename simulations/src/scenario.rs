//! What is to be simulated, as a TOML file says it.

mod change;
mod check;
mod job;
mod parse;
mod shipped;
#[cfg(test)]
mod tests;
mod units;
mod vary;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::faults::{Chaos, FaultEntry};
use crate::host::HostId;
pub use job::JobEntry;
pub use units::{Bytes, Share, Span};
pub use vary::Vary;

/// A mesh, what it has to do, and what goes wrong.
///
/// Every field has a default: an empty file is a quiet mesh of 20 peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What it is called, in a few words.
    pub title: String,
    /// What it shows, for people.
    pub about: String,
    /// Hosts, each with one peer.
    pub peers: u32,
    /// Virtual time in which there is work and things go wrong.
    pub duration: Span,
    /// Virtual time that the mesh then has to be whole again.
    pub heal: Span,
    /// So many of the hosts, those with the highest numbers, are not there
    /// before a `join` fault lets them in.
    pub latecomers: u32,
    /// Copies of each chunk (R).
    pub replicas: u32,
    /// Whether the peers are a mesh from the beginning, as after a power
    /// failure of all, or must find each other.
    pub formed: bool,
    /// The peers start within this time, in their order.
    pub start_within: Span,
    /// Zones, in which the peers are in turn.
    pub zones: u32,
    /// What each seed draws anew.
    pub vary: Vary,
    pub hosts: Hosts,
    pub network: Wires,
    pub timing: Times,
    pub workload: Workload,
    /// What goes wrong, and when.
    #[serde(rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultEntry>,
    /// What else goes wrong, at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chaos: Option<Chaos>,
}

/// What a host is like.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hosts {
    /// Tasks that one runs at once.
    pub slots: u32,
    pub disk_capacity: Bytes,
    /// Per second.
    pub disk_read: Bytes,
    /// Per second.
    pub disk_write: Bytes,
    pub disk_sync: Span,
    pub disk_seek: Span,
    /// Per second, each way.
    pub bandwidth: Bytes,
}

/// What the network is like while nothing goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wires {
    /// One way, within a zone.
    pub latency: Span,
    pub jitter: Span,
    /// One way, between zones.
    pub zone_latency: Span,
    pub zone_jitter: Span,
    pub loss: Share,
    pub duplicate: Share,
    pub reorder: Share,
}

/// How patient peers are; the defaults are those of the real thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Times {
    pub repair_delay: Span,
    pub repair_interval: Span,
    pub grace: Span,
    pub scrub: Span,
}

/// What clients do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Workload {
    /// Clients that put, get, list and remove small objects of few names.
    pub clients: u32,
    /// Between two operations of a client, on average.
    pub think: Span,
    /// Names that they share.
    pub names: u32,
    /// Other names that they share, in a bucket with a history: what somebody
    /// has put there must be found as long as the run lasts.
    pub kept: u32,
    /// Other names that they share, in a bucket of one copy. Some of what is
    /// put there is put under one of `names` as well, where there are to be more.
    pub scratch: u32,
    /// Of so many puts the bytes come slowly, over some seconds.
    pub slow: Share,
    /// Clients that append to objects that they share, as often, and read them.
    pub appenders: u32,
    /// Data that is put before anything goes wrong, for the jobs to read.
    pub data: Bytes,
    /// Bytes of one object of it.
    pub object: Bytes,
    /// Bytes of a chunk.
    pub chunk: Bytes,
    /// Real bytes of a chunk in this simulation: the smaller, the faster it runs.
    pub chunk_real: Bytes,
    #[serde(rename = "job", skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobEntry>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            title: "quiet".into(),
            about: String::new(),
            peers: 20,
            duration: Span(Duration::from_secs(60)),
            heal: Span(Duration::from_secs(180)),
            latecomers: 0,
            replicas: 3,
            formed: true,
            start_within: Span(Duration::from_secs(1)),
            zones: 1,
            vary: Vary::default(),
            hosts: Hosts::default(),
            network: Wires::default(),
            timing: Times::default(),
            workload: Workload::default(),
            faults: Vec::new(),
            chaos: None,
        }
    }
}

impl Default for Hosts {
    fn default() -> Self {
        Self {
            slots: 4,
            disk_capacity: Bytes(1 << 40),
            disk_read: Bytes(1_000_000_000),
            disk_write: Bytes(500_000_000),
            disk_sync: Span(Duration::from_millis(1)),
            disk_seek: Span(Duration::from_micros(50)),
            bandwidth: Bytes(1_250_000_000),
        }
    }
}

impl Default for Wires {
    fn default() -> Self {
        Self {
            latency: Span(Duration::from_micros(200)),
            jitter: Span(Duration::from_micros(300)),
            zone_latency: Span(Duration::from_millis(1)),
            zone_jitter: Span(Duration::from_micros(500)),
            loss: Share(0.0),
            duplicate: Share(0.0),
            reorder: Share(0.0),
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        let real = shoal_runtime::Timing::default();
        Self {
            repair_delay: Span(real.repair_delay),
            repair_interval: Span(real.repair_interval),
            grace: Span(real.grace),
            scrub: Span(real.scrub),
        }
    }
}

impl Default for Workload {
    fn default() -> Self {
        Self {
            clients: 4,
            think: Span(Duration::from_millis(500)),
            names: 16,
            kept: 0,
            scratch: 0,
            slow: Share(0.0),
            appenders: 0,
            data: Bytes(4 << 30),
            object: Bytes(256 << 20),
            chunk: Bytes(16 << 20),
            chunk_real: Bytes(4 << 10),
            jobs: Vec::new(),
        }
    }
}

impl Scenario {
    /// The zone of a host.
    pub(crate) fn zone_of(&self, host: HostId) -> String {
        format!("zone-{}", host.0 % self.zones.max(1))
    }
}

impl Scenario {
    /// Whether a host is not there at the beginning.
    pub(crate) fn is_late(&self, host: HostId) -> bool {
        host.0 >= self.peers.saturating_sub(self.latecomers)
    }
}

impl Workload {
    /// How many bytes each real one stands for.
    pub(crate) fn bytes_scale(&self) -> u64 {
        (self.chunk.0 / self.chunk_real.0.max(1)).max(1)
    }
}

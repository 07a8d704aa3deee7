//! The mesh in one process, in virtual time, from a seed.
//!
//! The real runtime, its actors and its store run on a simulated network, disk,
//! clock and randomness; engines that only count take the place of SQL. Time is
//! a number, the future is an [`EventHeap`], every choice comes from a seed:
//! the same build, scenario and seed give the same run, to the last event, and
//! the same trace.
//!
//! ```text
//!   Scenario ── Simulation ──> World: hosts, network, disks, heap, trace
//!      │                         │  faults strike, clients and jobs work
//!      │                         │  invariants look while it runs
//!      │                         v
//!   Swarm: many seeds ──────> Report, or a Violation ── shrink ──> Replay
//! ```
//!
//! [`Simulation`] runs one world; [`Swarm`] many of them, on all cores, until
//! one breaks a promise; [`shrink()`] makes that one small, and a [`Replay`] is the
//! line that runs it again. [`SwimWorld`] is a mesh of failure detectors alone;
//! [`detection`] and [`joining`] measure what it takes to notice who goes and who comes.

mod compute;
mod detection;
mod disk;
mod executor;
mod faults;
mod heap;
mod host;
mod invariants;
mod joining;
mod ledger;
mod network;
mod panics;
#[cfg(test)]
mod planted;
mod ports;
mod random;
mod replay;
mod report;
mod scenario;
mod shrink;
mod simulation;
mod swarm;
mod swim;
mod trace;
mod voice;
mod watch;
mod workload;
mod world;

pub use compute::{
    ComputeConfig, ComputeCounters, JobSpec, MapSpec, ReduceSpec, Row, SimCompute, Slowness, decode_answer, expected,
    fingerprint,
};
pub use detection::{DetectionRow, Spread, detection};
pub use disk::{DiskConfig, DiskCounters, Outage, SimDisk};
pub use faults::{
    Absence, Bandwidth, Chaos, ChaosKind, Clock, Crash, Cut, Direction, DiskFull, DiskLost, DiskSlow, Duplicate,
    FaultEntry, FaultKind, Join, Latency, Leave, Loss, Partition, Pause, Reach, Reclaim, Reorder, Role, Rot, SlowPeer,
    Stage, SyncFails, SyncLies, Victims,
};
pub use heap::EventHeap;
pub use host::Death;
pub use joining::{JoiningRow, joining};
pub use random::Random;
pub use replay::{Origin, Replay};
pub use report::{
    FaultMark, HostSpan, HostState, JobLine, OperationStats, PeerLoad, Report, Sample, TaskEnd, TaskSpan, Violation,
};
pub use scenario::{Bytes, Hosts, JobEntry, Scenario, Share, Span, Times, Vary, Wires, Workload};
pub use shrink::{ShrinkStep, Shrunk, Size, shrink};
pub use simulation::{STACK_BYTES, Simulation};
pub use swarm::{Found, Swarm, SwarmProgress, SwarmReport, on_own_stack};
pub use swim::{NetworkConditions, Sent, SwimWorld};
pub use watch::Watch;

//! The actors of a peer and their supervision.
//!
//! ```text
//!                      Supervisor
//!       ┌─────────┬────────┼─────────┬─────────┬───────────┐
//!    Members   Layouts  Registers  Worker    Router   Coordinator*
//!     (SWIM)   (layout) (acceptor) (tasks)  (inbound)  (one a job)
//! ```
//!
//! Actors are thin: a message becomes an event for a state machine of
//! `protocol/`, and each action that comes back is performed through the ports
//! of `shoal-ports`. What needs no state of its own is a plain function:
//! [`chunks`], [`history`], [`names`], [`objects`], [`replicate`], [`serve`],
//! [`surplus`], [`tables`].
//!
//! [`Peer`] is the handle by which the gateway and the binary speak to all of it.

mod at_rest;
mod buckets;
mod chunks;
mod collect;
mod compared;
mod config;
mod context;
mod coordinator;
mod disk;
mod doctor;
mod foreground;
mod gauges;
mod health;
mod history;
mod in_use;
mod jobs;
mod layouts;
mod members;
mod moment;
mod moving;
mod names;
mod objects;
mod peer;
mod placed;
mod planted;
mod published;
mod registers;
mod replicate;
mod role;
mod router;
mod scrub;
mod secrets;
mod serve;
mod status;
mod supervisor;
mod surplus;
mod tables;
mod worker;

#[cfg(test)]
mod tests;

pub use config::{Bounds, PeerConfig, Timing};
pub use doctor::Examination;
pub use gauges::Gauge;
pub use health::{Checkup, CheckupUpdate, MemberCheck};
pub use history::FormerVersion;
pub use layouts::ready_layout;
pub use members::next_incarnation;
pub use objects::Stored;
pub use peer::{Answer, ContentMd5, CopyVersion, Peer, PutCondition, Said, Terms, Update};
pub use planted::{Planted, UnknownBug};
pub use role::remembered_role;
pub use scrub::ScrubUpdate;
pub use secrets::remembered_secrets;
pub use supervisor::Stopped;

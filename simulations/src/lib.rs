//! The mesh in one process, in virtual time, from a seed.
//!
//! Here so far: the failure detector ([`SwimWorld`]), a whole mesh of it on a
//! simulated network with latency and loss. Time is a number, the future is an
//! [`EventHeap`], every choice comes from a seed: the same seed gives the same
//! run, to the last event.
//!
//! The runtime's actors are written against ports so that they can live here
//! too; their simulated network, disk and clock are the next to come.

mod heap;
mod random;
mod swim;

pub use heap::EventHeap;
pub use random::Random;
pub use swim::{NetworkConditions, SwimWorld};

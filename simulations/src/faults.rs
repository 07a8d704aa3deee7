//! What can go wrong, each in a file of its own.
//!
//! A scenario's entries and its chaos become a list of [`Strike`]s before the
//! run begins: who, what, when, for how long. The list depends on the scenario
//! and the seed alone, so a run can be repeated with some of them left out.
//!
//! | the network | the peers | the disks |
//! |---|---|---|
//! | [`Latency`], [`Loss`], [`Duplicate`], [`Reorder`], [`Bandwidth`] | [`Crash`], [`Pause`], [`Clock`], [`SlowPeer`] | [`DiskFull`], [`DiskSlow`] |
//! | [`Partition`], [`Cut`] | [`Reclaim`], [`Join`], [`Role`], [`Leave`] | [`SyncFails`], [`Rot`], [`DiskLost`], [`SyncLies`] |

mod bandwidth;
mod chaos;
mod clock;
mod crash;
mod cut;
mod disk_full;
mod disk_lost;
mod disk_slow;
mod duplicate;
mod entry;
mod join;
mod kind;
mod latency;
mod leave;
mod loss;
mod partition;
mod pause;
mod plan;
mod reach;
mod reclaim;
mod reorder;
mod role;
mod rot;
mod slow_peer;
mod strike;
mod sync_fails;
mod sync_lies;
#[cfg(test)]
mod tests;
mod victims;

use std::time::Duration;

use crate::host::HostId;
use crate::random::Random;
use crate::world::World;
pub use bandwidth::Bandwidth;
pub use chaos::{Chaos, ChaosKind};
pub use clock::Clock;
pub use crash::Crash;
pub use cut::Cut;
pub use disk_full::DiskFull;
pub use disk_lost::DiskLost;
pub use disk_slow::DiskSlow;
pub use duplicate::Duplicate;
pub use entry::FaultEntry;
pub use join::Join;
pub use kind::FaultKind;
pub use latency::Latency;
pub use leave::{Absence, Leave, Stage};
pub use loss::Loss;
pub use partition::{Direction, Partition};
pub use pause::Pause;
pub(crate) use plan::plan;
pub use reach::Reach;
pub use reclaim::Reclaim;
pub use reorder::Reorder;
pub use role::Role;
pub use rot::Rot;
pub use slow_peer::SlowPeer;
pub(crate) use strike::Strike;
pub use sync_fails::SyncFails;
pub use sync_lies::SyncLies;
pub use victims::Victims;

/// One way in which things go wrong.
pub(crate) trait Fault {
    /// Makes it so. What comes back ends it, if it has an end of its own.
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo>;

    /// Whom it strikes if nothing is said: one host at random.
    fn victims(&self) -> Victims {
        Victims::Count(1)
    }

    /// How long it lasts if nothing is said; `None`: for ever, or it ends by itself.
    fn lasts(&self, _: &mut Random) -> Option<Duration> {
        None
    }
}

/// Whom a fault strikes, and for how long.
pub(crate) struct Blow<'a> {
    pub(crate) victims: &'a [HostId],
    pub(crate) lasts: Option<Duration>,
}

/// Ends what a fault has begun.
pub(crate) type Undo = Box<dyn FnOnce(&World) + Send>;

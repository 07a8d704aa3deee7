use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo, Victims};
use crate::random::Random;
use crate::scenario::Span;
use crate::world::World;

/// Hosts that were not there at the beginning (`latecomers`) start, with empty
/// disks, and join by a few members. All of them, if `peers` says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Join {
    /// Each at a moment of its own within this.
    pub within: Span,
}

impl Default for Join {
    fn default() -> Self {
        Self { within: Span(Duration::from_secs(1)) }
    }
}

impl Fault for Join {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        for host in blow.victims.iter().copied() {
            let after = random.time_below(self.within.0);
            world.introduce(host, random);
            world.after(after, "join", move |world| world.release(host));
        }
        None
    }

    fn victims(&self) -> Victims {
        Victims::ALL
    }
}

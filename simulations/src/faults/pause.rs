use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::random::Random;
use crate::scenario::Span;
use crate::world::World;

/// The world stops for the victims, as in a long garbage collection or while
/// a virtual machine is moved; then all that came arrives at once. If `for`
/// says nothing it takes longer than the failure detector's patience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pause {
    /// At least so long, if `for` says nothing.
    pub shortest: Span,
    /// At most so long, if `for` says nothing.
    pub longest: Span,
}

impl Default for Pause {
    fn default() -> Self {
        Self { shortest: Span(Duration::from_secs(5)), longest: Span(Duration::from_secs(30)) }
    }
}

impl Fault for Pause {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        let lasts = blow.lasts.or_else(|| self.lasts(random)).unwrap_or_default();
        for host in blow.victims {
            world.pause(*host, lasts);
        }
        None
    }

    fn lasts(&self, random: &mut Random) -> Option<Duration> {
        let range = self.longest.0.saturating_sub(self.shortest.0);
        Some(self.shortest.0 + random.time_below(range))
    }
}

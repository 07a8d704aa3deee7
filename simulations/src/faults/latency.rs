use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reach::NO_WORSE;
use super::{Blow, Fault, Reach, Undo};
use crate::network::LinkQuality;
use crate::random::Random;
use crate::scenario::Span;
use crate::world::World;

/// Everything to and from the victims takes longer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Latency {
    /// More on each way.
    pub latency: Span,
    /// What chance adds to that, at most.
    pub jitter: Span,
    /// `all` links of the victims, or those to the `rest`.
    pub with: Reach,
}

impl Default for Latency {
    fn default() -> Self {
        let ms = |ms| Span(Duration::from_millis(ms));
        Self { latency: ms(100), jitter: ms(50), with: Reach::All }
    }
}

impl Fault for Latency {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let by = LinkQuality { latency: self.latency.0, jitter: self.jitter.0, ..NO_WORSE };
        self.with.worsen(world, blow.victims, by)
    }
}

use serde::{Deserialize, Serialize};

use super::reach::NO_WORSE;
use super::{Blow, Fault, Reach, Undo};
use crate::network::LinkQuality;
use crate::random::Random;
use crate::scenario::Bytes;
use crate::world::World;

/// The lines to and from the victims are slow for bulk: chunks and exchanges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bandwidth {
    /// Per second.
    pub bandwidth: Bytes,
    /// `all` links of the victims, or those to the `rest`.
    pub with: Reach,
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self { bandwidth: Bytes(10_000_000), with: Reach::All }
    }
}

impl Fault for Bandwidth {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        let by = LinkQuality { bandwidth: Some(self.bandwidth.0.max(1)), ..NO_WORSE };
        self.with.worsen(world, blow.victims, by)
    }
}

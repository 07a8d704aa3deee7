use serde::{Deserialize, Serialize};

use super::reach::NO_WORSE;
use super::{Blow, Fault, Reach, Undo};
use crate::network::LinkQuality;
use crate::random::Random;
use crate::scenario::Share;
use crate::world::World;

/// Packets to and from the victims are lost. What belongs to a link is sent again, late; gossip is not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Loss {
    /// How many of them are lost.
    pub share: Share,
    /// `all` links of the victims, or those to the `rest`.
    pub with: Reach,
}

impl Default for Loss {
    fn default() -> Self {
        Self { share: Share(0.1), with: Reach::All }
    }
}

impl Fault for Loss {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        self.with.worsen(world, blow.victims, LinkQuality { loss: self.share.0, ..NO_WORSE })
    }
}

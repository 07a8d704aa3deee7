use serde::{Deserialize, Serialize};

use super::reach::NO_WORSE;
use super::{Blow, Fault, Reach, Undo};
use crate::network::LinkQuality;
use crate::random::Random;
use crate::scenario::Share;
use crate::world::World;

/// Gossip, requests and answers to and from the victims are overtaken by later ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reorder {
    /// How many of them are overtaken.
    pub share: Share,
    /// `all` links of the victims, or those to the `rest`.
    pub with: Reach,
}

impl Default for Reorder {
    fn default() -> Self {
        Self { share: Share(0.1), with: Reach::All }
    }
}

impl Fault for Reorder {
    fn strike(&self, world: &World, blow: &Blow<'_>, _: &mut Random) -> Option<Undo> {
        self.with.worsen(world, blow.victims, LinkQuality { reorder: self.share.0, ..NO_WORSE })
    }
}

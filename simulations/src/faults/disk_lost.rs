use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::host::Death;
use crate::random::Random;
use crate::world::World;

/// The peer's directory is gone, and its process with it. Once it ends the
/// peer starts again with an empty one, as a new peer: its key was there too.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskLost {}

impl Fault for DiskLost {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        for host in blow.victims {
            world.hold(*host);
            world.lose(*host, Death::Kill);
        }
        let (victims, mut random) = (blow.victims.to_vec(), random.clone());
        Some(Box::new(move |world| {
            for host in victims {
                world.renew(host, &mut random);
                world.release(host);
            }
        }))
    }
}

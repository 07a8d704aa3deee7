use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo, Victims};
use crate::host::Death;
use crate::random::Random;
use crate::scenario::{Share, Span};
use crate::world::World;

/// Machines are taken away, as spot instances are: with `for` as many come
/// back in their place after that time, with empty disks and as new peers;
/// without it they are gone for good. A tenth of all, if `peers` says nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reclaim {
    /// Each at a moment of its own within this.
    pub within: Span,
    /// Zone by zone, as pools of machines go: of the fewest zones that have so
    /// many. While that is fewer zones than replicas nothing is lost.
    pub by_zone: bool,
}

impl Default for Reclaim {
    fn default() -> Self {
        Self { within: Span::default(), by_zone: true }
    }
}

impl Fault for Reclaim {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        let within = blow.lasts.map_or(self.within.0, |lasts| lasts.min(self.within.0));
        for host in blow.victims.iter().copied() {
            world.hold(host);
            world.after(random.time_below(within), "reclaim", move |world| world.lose(host, Death::Power));
        }
        let (victims, mut random) = (blow.victims.to_vec(), random.clone());
        Some(Box::new(move |world| {
            for host in victims {
                world.renew(host, &mut random);
                world.release(host);
            }
        }))
    }

    fn victims(&self) -> Victims {
        Victims::Share(Share(0.1))
    }
}

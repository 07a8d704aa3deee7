use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::reach::NO_WORSE;
use super::{Blow, Fault, Undo};
use crate::host::HostId;
use crate::network::{HostSet, Rule};
use crate::random::Random;
use crate::scenario::{Share, Span};
use crate::world::World;

/// The connections of the victims break in mid-stream, all in the same
/// moment. They can be made again at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cut {
    /// That part of their connections, each chosen by chance.
    pub links: Share,
    /// While it lasts they break again after each such time; `0s`: once.
    pub again: Span,
}

impl Default for Cut {
    fn default() -> Self {
        Self { links: Share(1.0), again: Span(Duration::ZERO) }
    }
}

impl Fault for Cut {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        let over = Arc::new(AtomicBool::new(false));
        cut(world, self, blow.victims, random, &over);
        // A rule that changes nothing: whoever asks sees that the network is not whole.
        let rule = world.impose(Rule::Worse { between: HostSet::default(), and: HostSet::default(), by: NO_WORSE });
        let Some(_) = blow.lasts else {
            world.lift(rule);
            return None;
        };
        Some(Box::new(move |world| {
            over.store(true, Relaxed);
            world.lift(rule);
        }))
    }
}

fn cut(world: &World, how: &Cut, victims: &[HostId], random: &mut Random, over: &Arc<AtomicBool>) {
    let links: Vec<_> = {
        let state = world.state();
        let is_theirs = |(a, b, _): &(HostId, HostId, _)| victims.contains(a) || victims.contains(b);
        state.network.links.pairs().filter(is_theirs).collect()
    };
    for (a, b, epoch) in links {
        if random.chance(how.links.0) {
            world.link_down(a, b, epoch);
            world.link_down(b, a, epoch);
        }
    }
    if !how.again.0.is_zero() {
        let (how, victims, mut random, over) = (how.clone(), victims.to_vec(), random.clone(), over.clone());
        world.after(how.again.0, "cut", move |world| {
            if !over.load(Relaxed) {
                cut(world, &how, &victims, &mut random, &over);
            }
        });
    }
}

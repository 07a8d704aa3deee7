use serde::{Deserialize, Serialize};

use super::{Blow, Fault, Undo};
use crate::network::{HostSet, Rule};
use crate::random::Random;
use crate::scenario::Share;
use crate::world::World;

/// Nothing gets from the victims to the others, nor back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Partition {
    /// `both`, or only what the victims send (`out`) or what they are sent (`in`).
    pub direction: Direction,
    /// Cuts that part of the links to the others, each chosen by chance.
    pub links: Share,
}

/// Which way nothing gets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    #[default]
    Both,
    Out,
    In,
}

impl Default for Partition {
    fn default() -> Self {
        Self { direction: Direction::Both, links: Share(1.0) }
    }
}

impl Fault for Partition {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        let inside = HostSet::of(blow.victims.iter().copied());
        let others = world.hosts().into_iter().filter(|host| !inside.contains(*host));
        let outside = HostSet::of(others.filter(|_| random.chance(self.links.0)));
        let mut rules = Vec::new();
        if self.direction != Direction::In {
            rules.push(world.impose(Rule::Block { from: inside.clone(), to: outside.clone() }));
        }
        if self.direction != Direction::Out {
            rules.push(world.impose(Rule::Block { from: outside, to: inside }));
        }
        Some(Box::new(move |world| rules.into_iter().for_each(|rule| world.lift(rule))))
    }
}

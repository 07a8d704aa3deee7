use std::time::Duration;

use super::{Blow, FaultKind};
use crate::host::HostId;
use crate::world::World;

/// Hosts that are named when a fault strikes many.
const NAMED: usize = 6;

/// One fault of one run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Strike {
    /// Its place in the plan.
    pub(crate) number: usize,
    pub(crate) at: Duration,
    pub(crate) lasts: Option<Duration>,
    pub(crate) victims: Vec<HostId>,
    pub(crate) kind: FaultKind,
}

impl Strike {
    /// Until when it lasts, if it ends.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.lasts.map(|lasts| self.at + lasts)
    }

    /// Enters it into the world's future.
    pub(crate) fn schedule(self, world: &World) {
        world.after(self.at, "fault", move |world| self.happen(world));
    }

    /// Strikes now.
    pub(super) fn happen(&self, world: &World) {
        let mut random = world.random(&[400, self.number as u64]);
        let names: Vec<String> = self.victims.iter().take(NAMED).map(|host| host.name()).collect();
        let more = if self.victims.len() > names.len() { " and others" } else { "" };
        world.tell(None, format!("fault {} {}: {}{more}", self.number, self.kind.name(), names.join(", ")));
        let blow = Blow { victims: &self.victims, lasts: self.lasts };
        let undo = self.kind.fault().strike(world, &blow, &mut random);
        if let (Some(undo), Some(lasts)) = (undo, self.lasts) {
            let (number, name) = (self.number, self.kind.name());
            world.after(lasts, "fault ends", move |world| {
                world.tell(None, format!("fault {number} {name} ends"));
                undo(world);
            });
        }
    }
}

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_types::{PeerId, RoleChange};

use super::role::ask;
use super::{Blow, Direction, Fault, Partition, Undo};
use crate::host::{Death, HostId};
use crate::random::Random;
use crate::scenario::{Share, Span};
use crate::world::World;

/// How often it is looked how far a leaver is.
const LOOK: Duration = Duration::from_millis(10);

/// The victims are told to leave, as by `shoal leave`, and are away for a
/// while in the midst of it. They go when they are back, and come as newcomers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Leave {
    /// What they kept is gone for good once they have left.
    pub wiped: bool,
    /// How they are away.
    pub by: Absence,
    /// From which moment on.
    pub when: Stage,
    /// So much later, at most.
    pub within: Span,
    /// For how long; no longer than the fault lasts.
    pub away: Span,
}

impl Default for Leave {
    fn default() -> Self {
        let away = Span(Duration::from_secs(10));
        Self { wiped: false, by: Absence::Kill, when: Stage::Joint, within: Span::default(), away }
    }
}

/// How a leaver is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Absence {
    Kill,
    Power,
    Pause,
    Cut,
}

/// How far a leaver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It is told to leave.
    Told,
    /// There is a layout from which it is going.
    Joint,
    /// There is one without it.
    Settled,
}

/// What ends a leaver's absence; `Over` once there is to be none any more.
#[derive(Default)]
enum Back {
    #[default]
    Here,
    Away(Undo),
    Over,
}

type Shared = Arc<Mutex<Back>>;

impl Fault for Leave {
    fn strike(&self, world: &World, blow: &Blow<'_>, random: &mut Random) -> Option<Undo> {
        let leaves = RoleChange { leaves: Some(true), ..RoleChange::default() };
        let mut absences = Vec::new();
        for host in blow.victims.iter().copied() {
            let peer = {
                let host = &mut world.state().hosts[host.index()];
                host.wiped_when_left |= self.wiped;
                host.id
            };
            ask(world, host, leaves.clone());
            let (absence, within) = (Shared::default(), random.time_below(self.within.0 + LOOK));
            absences.push(absence.clone());
            watch(world, self.clone(), host, peer, within, absence);
        }
        Some(Box::new(move |world| {
            for absence in absences {
                let before = std::mem::replace(&mut *lock(&absence), Back::Over);
                if let Back::Away(undo) = before {
                    undo(world);
                }
            }
        }))
    }
}

fn lock(absence: &Shared) -> std::sync::MutexGuard<'_, Back> {
    absence.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until a leaver is so far, and takes it away then.
fn watch(world: &World, leave: Leave, host: HostId, peer: PeerId, within: Duration, absence: Shared) {
    if !matches!(*lock(&absence), Back::Here) || world.state().hosts[host.index()].id != peer {
        return;
    }
    if stage(world, peer) >= leave.when {
        world.after(within, "leaver goes away", move |world| be_away(world, &leave, host, absence));
    } else {
        world.after(LOOK, "look at a leaver", move |world| watch(world, leave, host, peer, within, absence));
    }
}

fn stage(world: &World, peer: PeerId) -> Stage {
    let state = world.state();
    match state.ledger.layouts.newest() {
        Some(layout) if !layout.involves(peer) => Stage::Settled,
        Some(layout) if layout.member(peer).is_none() => Stage::Joint,
        Some(_) | None => Stage::Told,
    }
}

fn be_away(world: &World, leave: &Leave, host: HostId, absence: Shared) {
    let is_up = world.state().hosts[host.index()].is_up();
    if !is_up || !matches!(*lock(&absence), Back::Here) {
        return;
    }
    let undo: Undo = match leave.by {
        Absence::Pause => {
            world.pause(host, leave.away.0);
            Box::new(|_| {})
        }
        Absence::Cut => {
            let cut = Partition { direction: Direction::Both, links: Share(1.0) };
            let blow = Blow { victims: &[host], lasts: None };
            let lift = cut.strike(world, &blow, &mut world.random(&[401, u64::from(host.0)]));
            lift.unwrap_or_else(|| Box::new(|_| {}))
        }
        Absence::Kill | Absence::Power => {
            world.hold(host);
            world.crash(host, if leave.by == Absence::Kill { Death::Kill } else { Death::Power });
            Box::new(move |world| world.release(host))
        }
    };
    *lock(&absence) = Back::Away(undo);
    world.after(leave.away.0, "leaver is back", move |world| {
        let before = std::mem::replace(&mut *lock(&absence), Back::Over);
        if let Back::Away(undo) = before {
            undo(world);
        }
    });
}

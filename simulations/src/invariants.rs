//! What must always hold, each in a file of its own.

mod bounded;
mod calm;
mod copies_wanted;
mod durable;
mod jobs;
mod leaks;
mod linearizable;
mod membership;
mod orphans;
mod same_owners;
mod settles;
#[cfg(test)]
mod tests;
mod witnessed;

use std::time::Duration;

use crate::world::World;

/// When an invariant is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Once a virtual second, while work is done and things go wrong.
    Tick,
    /// Once a virtual second, after the last fault has ended and before all is whole.
    Healing,
    /// At the end, when the mesh has had its time to heal.
    End,
}

/// Something that must hold.
pub(crate) trait Invariant: Send {
    /// Its name, as violations and reports say it.
    fn name(&self) -> &'static str;

    /// Looks whether it holds, and says in words what does not
    /// ([`World::violate`]). Whether it could be judged now.
    fn check(&mut self, world: &World, moment: Moment) -> bool;

    /// At [`Moment::Healing`]: whether, by this, the mesh is whole again.
    fn is_whole(&mut self, _: &World) -> bool {
        true
    }

    /// What keeps it from being whole, in words.
    fn symptom(&mut self, _: &World) -> Option<String> {
        None
    }
}

/// All of them.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(durable::Durable),
        Box::new(copies_wanted::CopiesWanted),
        Box::new(witnessed::ReadsAreWhole::default()),
        Box::new(witnessed::SyncedStays::default()),
        Box::new(membership::MembershipConverges::default()),
        Box::new(same_owners::SameOwners::default()),
        Box::new(linearizable::Linearizable::default()),
        Box::new(witnessed::HistoryIsKept::default()),
        Box::new(witnessed::AppendsOnce::default()),
        Box::new(jobs::JobsEndRight),
        Box::new(bounded::Bounded::default()),
        Box::new(orphans::NoOrphans::default()),
        Box::new(settles::Settles::default()),
        Box::new(leaks::NoLeaks::default()),
    ]
}

/// What keeps the mesh from being whole.
pub(crate) fn symptoms(world: &World, invariants: &mut [Box<dyn Invariant>]) -> String {
    let symptoms = invariants.iter_mut().filter_map(|invariant| invariant.symptom(world));
    symptoms.map(|symptom| format!("; {symptom}")).collect()
}

/// Looks at a write at the moment at which its client hears of it.
pub(crate) fn acknowledged(world: &World, name: &shoal_types::ObjectName, manifest: &shoal_types::Manifest) {
    durable::acknowledged(world, name, manifest);
}

/// What was found to be broken.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) at: Duration,
    pub(crate) hosts: Vec<crate::host::HostId>,
    pub(crate) what: String,
}

/// The first of many, in words.
fn short<T>(of: impl IntoIterator<Item = T>, word: impl Fn(T) -> String) -> String {
    let mut words: Vec<String> = of.into_iter().map(word).collect();
    if words.len() > 6 {
        let more = words.len() - 5;
        words.truncate(5);
        words.push(format!("and {more} more"));
    }
    words.join(", ")
}

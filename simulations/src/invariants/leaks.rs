use std::collections::BTreeMap;

use super::{Invariant, Moment, short};
use crate::host::HostId;
use crate::world::World;

/// Tasks that live as long as their peer; the last is the world's own.
const PERMANENT: [&str; 14] = [
    "router",
    "replicate",
    "scrub",
    "disk",
    "surplus",
    "collect",
    "history",
    "forget",
    "compare",
    "secrets",
    "layout tick",
    "members tick",
    "swim timer",
    "watch",
];

/// When all work has ended nothing of it is left: no task, no call and no pipe
/// that was there then stays for long.
#[derive(Default)]
pub(crate) struct NoLeaks {
    before: Option<Before>,
}

/// What had been begun when the last work ended.
struct Before {
    calls: u64,
    pipes: u64,
    /// Per host: which life, and how many tasks it had begun.
    tasks: Vec<(u64, u64)>,
}

impl Invariant for NoLeaks {
    fn name(&self) -> &'static str {
        "no-leaks"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        let state = world.state();
        let works = state.ledger.jobs.records.iter().any(|job| job.end.is_none());
        let works = works || state.ledger.history.names().any(|(_, name)| name.is_busy());
        let works = works || state.ledger.appended.is_busy();
        if moment == Moment::Tick || works {
            self.before = None;
            return false;
        }
        if self.before.is_none() {
            let tasks = state.hosts.iter().map(|host| {
                let incarnation = host.running.as_ref().map(|running| running.incarnation.clone());
                incarnation.map_or((0, 0), |incarnation| (incarnation.number, incarnation.last_task()))
            });
            let tasks = tasks.collect();
            self.before = Some(Before { calls: state.network.calls.last(), pipes: state.network.pipes.last(), tasks });
        }
        true
    }

    fn is_whole(&mut self, world: &World) -> bool {
        if self.before.is_none() {
            // The first look after the work has ended.
            self.check(world, Moment::Healing);
        }
        self.left(world).is_some_and(|left| left.is_empty())
    }

    fn symptom(&mut self, world: &World) -> Option<String> {
        match self.left(world) {
            None => Some("clients are still at work".into()),
            Some(left) if left.is_empty() => None,
            Some(left) => Some(format!("left over when all work had ended: {}", short(&left, String::clone))),
        }
    }
}

impl NoLeaks {
    /// What was there when the last work ended, and still is; `None` while there is work.
    fn left(&self, world: &World) -> Option<Vec<String>> {
        let before = self.before.as_ref()?;
        let state = world.state();
        let calls = state.network.calls.older(before.calls).map(|(from, to)| format!("a call of {from} to {to}"));
        let pipes = state.network.pipes.older(before.pipes).map(|(from, to)| format!("a pipe from {from} to {to}"));
        let mut left: Vec<String> = calls.chain(pipes).collect();
        for ((n, host), (number, last)) in (0..).zip(&state.hosts).zip(&before.tasks) {
            let Some(running) = host.running.as_ref().filter(|running| running.incarnation.number == *number) else {
                continue;
            };
            let mut older: BTreeMap<&str, usize> = running.incarnation.older(*last);
            older.retain(|name, _| !PERMANENT.contains(name));
            left.extend(older.into_iter().map(|(name, count)| format!("{count} tasks '{name}' of {}", HostId(n))));
        }
        Some(left)
    }
}

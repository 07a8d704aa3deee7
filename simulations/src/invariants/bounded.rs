use super::calm::Turns;
use super::{Invariant, Moment};
use crate::host::HostId;
use crate::world::World;

/// Peers that are looked at per tick.
const LOOKED_AT: usize = 64;

/// Calls that a peer may be waiting for, on average, and pipes that may end at one.
const CALLS_PER_PEER: usize = 1_024;
const PIPES_PER_PEER: usize = 8_192;

/// Outputs that an engine may keep, in (real) bytes.
const KEPT_BYTES: u64 = 256 << 20;

/// How many tasks of a kind one peer may run at once, beside so many for each
/// other peer: those that are spawned once per peer, per call, per timer.
/// Whatever is not named here is spawned for a call, a chunk or a task, and
/// may be there as often as those.
const TASKS: [(&str, usize, usize); 13] = [
    // Name, at most, and for each peer of the mesh.
    ("start", 1, 0),
    ("watch", 1, 0),
    ("router", 1, 0),
    ("replicate", 1, 0),
    ("layout tick", 2, 0),
    ("members tick", 2, 0),
    ("layout propose", 1, 0),
    ("layout fetch", 3, 0),
    // One for each version of some seconds: so long is waited for who does not answer.
    ("layout spread", 16, 0),
    ("swim timer", 64, 4),
    ("task refusal", 4_096, 0),
    ("call", 4_096, 8),
    ("flow", 1_024, 8),
];
const OTHERS: usize = 16_384;

/// No queue, no set of tasks and no cache passes its bound.
#[derive(Default)]
pub(crate) struct Bounded {
    turns: Turns,
}

impl Invariant for Bounded {
    fn name(&self) -> &'static str {
        "bounded"
    }

    fn check(&mut self, world: &World, moment: Moment) -> bool {
        let mut wrong: Vec<(Vec<HostId>, String)> = Vec::new();
        let inbound_max = world.config().inbound_max;
        let up: Vec<HostId> = {
            let state = world.state();
            for (n, _) in (0..).zip(&state.hosts).filter(|(_, host)| host.stats.inbound_max > inbound_max) {
                let what = format!("the inbound queue of {} was full ({inbound_max}) and lost something", HostId(n));
                wrong.push((vec![HostId(n)], what));
            }
            let up: Vec<HostId> =
                (0..).zip(&state.hosts).filter(|(_, host)| host.is_up()).map(|(n, _)| HostId(n)).collect();
            let network = &state.network;
            let (calls, bound) = (network.calls.waiting(), CALLS_PER_PEER * state.hosts.len());
            if calls > bound {
                wrong.push((Vec::new(), format!("{calls} calls wait for answers, at most {bound} may")));
            }
            up
        };
        let most = if moment == Moment::End { usize::MAX } else { LOOKED_AT };
        for host in self.turns.next(&up, most) {
            wrong.extend(beyond_bounds(world, host).into_iter().map(|what| (vec![host], format!("{host}: {what}"))));
        }
        for (hosts, what) in wrong {
            world.violate(self.name(), &hosts, what);
        }
        !up.is_empty()
    }
}

/// What one peer has too much of.
fn beyond_bounds(world: &World, host: HostId) -> Vec<String> {
    let (running, hosts, pipes) = {
        let state = world.state();
        (state.hosts[host.index()].running.clone(), state.hosts.len(), state.network.pipes.of(host))
    };
    let Some(running) = running else {
        return Vec::new();
    };
    let mut wrong = Vec::new();
    if pipes > PIPES_PER_PEER {
        wrong.push(format!("{pipes} pipes are open, at most {PIPES_PER_PEER} may be"));
    }
    for gauge in running.peer.iter().flat_map(shoal_runtime::Peer::gauges).filter(|gauge| gauge.now > gauge.bound) {
        wrong.push(format!("{} {}, at most {} may be", gauge.now, gauge.name, gauge.bound));
    }
    for (name, count) in running.incarnation.running() {
        let bound = task_bound(name, hosts);
        if count > bound {
            wrong.push(format!("{count} tasks '{name}' run, at most {bound} may"));
        }
    }
    let kept: u64 = running.compute.kept().iter().map(|(_, bytes)| bytes).sum();
    if kept > KEPT_BYTES {
        wrong.push(format!("{kept} bytes of outputs are kept, at most {KEPT_BYTES} may be"));
    }
    wrong
}

fn task_bound(name: &str, hosts: usize) -> usize {
    let listed = TASKS.iter().find(|(listed, _, _)| *listed == name);
    listed.map_or(OTHERS, |(_, most, each)| most + each * hosts)
}

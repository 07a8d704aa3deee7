use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use shoal_placement::{PlacementKey, layout_owners};
use shoal_register::linearizability::{Checker, Kind, Op, Verdict, contradiction};
use shoal_types::{Layout, PeerId};

use super::{Invariant, Moment};
use crate::host::HostId;
use crate::ledger::{Operation, OperationKind, Outcome};
use crate::world::World;

/// What was done to each name could have been done to it on one machine, one
/// operation after the other.
///
/// Followed as it grows; an operation that may still end holds up what began
/// after it. Not judged once so many acceptors of a name have lost their disks
/// that it could have been forgotten, or once a disk lies.
#[derive(Default)]
pub(crate) struct Linearizable {
    names: BTreeMap<String, Followed>,
    /// Of the layout: who had acceptors where, before disks were lost.
    layout: Option<std::sync::Arc<Layout>>,
    lost_disks: usize,
}

/// One name.
#[derive(Default)]
struct Followed {
    checker: Checker,
    /// Operations that say something, in the order in which they began.
    ops: Vec<Op>,
    /// The same, to be shown.
    told: Vec<Operation>,
    /// Operations of the history that were looked at.
    seen: usize,
    /// When acceptors of it lost their disks.
    losses: Vec<Duration>,
    unjudged: bool,
}

impl Invariant for Linearizable {
    fn name(&self) -> &'static str {
        "linearizable"
    }

    fn check(&mut self, world: &World, _: Moment) -> bool {
        self.excuse(world);
        let mut broken = Vec::new();
        let mut judged = false;
        {
            let state = world.state();
            let (history, now) = (&state.ledger.history, state.heap.now());
            if !state.ledger.copies.are_reliable() {
                return false;
            }
            for (text, name) in history.names() {
                let followed = self.names.entry(text.to_owned()).or_default();
                let until = history.known_until(name, now);
                for operation in history.since(name, followed.seen, until) {
                    followed.seen += 1;
                    if let Some(op) = op_of(operation) {
                        followed.ops.push(op);
                        followed.told.push(operation.clone());
                    }
                }
                if followed.unjudged {
                    continue;
                }
                let before = followed.checker.begun();
                match followed.checker.go_on(&followed.ops, nanos(until)) {
                    Verdict::Holds => judged |= followed.checker.begun() > before,
                    Verdict::Broken { .. } => broken.push(text.to_owned()),
                    Verdict::TooHard { .. } => followed.unjudged = true,
                }
            }
        }
        for name in broken {
            if let Some(followed) = self.names.get_mut(&name) {
                followed.unjudged = true;
                let (hosts, what) = followed.contradiction(&name);
                world.violate("linearizable", &hosts, what);
            }
        }
        judged
    }
}

impl Linearizable {
    /// Names of which so many acceptors lost their disks at about one time
    /// that nobody need remember them.
    fn excuse(&mut self, world: &World) {
        let state = world.state();
        let lost = state.ledger.copies.lost_disks();
        let replicas = world.config().replicas as usize;
        let repair = world.config().timing.repair_delay * 2;
        for (at, host) in lost.iter().skip(self.lost_disks) {
            let Some(layout) = &self.layout else {
                break;
            };
            for (name, followed) in &mut self.names {
                if is_acceptor(layout, name, *host, 2 * replicas - 1) {
                    followed.losses.push(*at);
                    let together = followed.losses.iter().filter(|other| **other + repair >= *at).count();
                    followed.unjudged |= together >= replicas;
                }
            }
        }
        self.lost_disks = lost.len();
        self.layout = state.ledger.layouts.newest().cloned();
    }
}

/// Whether the peer that was on a host keeps a name.
fn is_acceptor(layout: &Layout, name: &str, host: HostId, acceptors: usize) -> bool {
    let owners: BTreeSet<PeerId> =
        layout_owners(PlacementKey::of_name(name), layout, acceptors).all().into_iter().collect();
    layout.groups().flatten().any(|member| owners.contains(&member.id) && member.name == host.name())
}

impl Followed {
    /// The operations that contradict each other, and where they were made.
    fn contradiction(&self, name: &str) -> (Vec<HostId>, String) {
        let few = contradiction(&self.ops).unwrap_or_default();
        let told: Vec<&Operation> = few.iter().filter_map(|at| self.told.get(*at)).collect();
        let mut what = format!("no order of these operations on '{name}' explains what they saw:");
        for operation in &told {
            let until = operation.returned.map_or("       ?".into(), |at| format!("{:8.3}", at.as_secs_f64()));
            let content = match operation.kind {
                OperationKind::Put { content } | OperationKind::PutIfAbsent { content } => format!(" {content:x}"),
                OperationKind::PutIfMatch { content, expected } => format!(" {content:x} over {expected:x}"),
                OperationKind::Get | OperationKind::List | OperationKind::Remove => String::new(),
            };
            let (from, at, kind) = (operation.invoked.as_secs_f64(), operation.at, operation.kind.as_str());
            // Writing to a string does not fail.
            let _ = write!(what, "\n  {from:8.3}–{until} s  {at}  {kind}{content}: {}", operation.outcome);
        }
        let hosts: BTreeSet<HostId> = told.iter().map(|operation| operation.at).collect();
        (hosts.into_iter().collect(), what)
    }
}

/// What an operation says of the register; `None` if it says nothing.
fn op_of(operation: &Operation) -> Option<Op> {
    let swap = |expected, new| match operation.outcome {
        Outcome::Refused => Kind::Mismatch { expected },
        Outcome::Done { .. } | Outcome::Unknown | Outcome::Saw(_) | Outcome::Failed(_) => Kind::Swap { expected, new },
    };
    let kind = match (operation.kind, &operation.outcome) {
        (_, Outcome::Failed(_)) => return None,
        (OperationKind::Get | OperationKind::List, Outcome::Saw(saw)) => Kind::Read { saw: *saw },
        (OperationKind::Get | OperationKind::List, Outcome::Unknown | Outcome::Done { .. } | Outcome::Refused) => {
            return None;
        }
        (OperationKind::Put { content }, _) => Kind::Write { new: content },
        (OperationKind::PutIfAbsent { content }, _) => swap(None, content),
        (OperationKind::PutIfMatch { content, expected }, _) => swap(Some(expected), content),
        (OperationKind::Remove, Outcome::Done { was_there }) => Kind::Remove { was_there: Some(*was_there) },
        (OperationKind::Remove, Outcome::Unknown | Outcome::Saw(_) | Outcome::Refused) => {
            Kind::Remove { was_there: None }
        }
    };
    Some(Op { invoked: nanos(operation.invoked), returned: operation.returned.map(nanos), kind })
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

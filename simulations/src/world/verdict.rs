//! What the world finds to be broken, and rules over its network.

use shoal_types::{Manifest, ObjectName};

use super::World;
use crate::host::HostId;
use crate::invariants::{self, Broken};
use crate::network::{Rule, RuleId};

/// Findings kept; a run stops at the first, but more may come of one event.
const KEPT: usize = 8;

/// Of what led to a finding: events, and lines that peers logged.
const LAST_EVENTS: usize = 60;
const LAST_WORDS: usize = 30;

impl World {
    /// Something that must hold does not: the run ends here.
    pub(crate) fn violate(&self, invariant: &'static str, hosts: &[HostId], what: String) {
        let mut state = self.state();
        let at = state.heap.now();
        state.trace.line(at, hosts.first().copied(), format!("VIOLATION of {invariant}: {what}"));
        if state.broken.len() < KEPT {
            let mut last = state.trace.last(hosts, LAST_EVENTS);
            let concerns = |host: HostId| hosts.is_empty() || hosts.contains(&host);
            state.voice.join(&mut last, LAST_WORDS, |entry| entry.host.is_none_or(concerns));
            state.broken.push((Broken { invariant, at, hosts: hosts.to_vec(), what }, last));
        }
        state.stopped = true;
    }

    /// A client was told that an object is safe.
    pub(crate) fn acknowledged(&self, name: &ObjectName, manifest: &Manifest) {
        invariants::acknowledged(self, name, manifest);
    }

    /// Puts a rule over the network into force.
    pub(crate) fn impose(&self, rule: Rule) -> RuleId {
        let mut state = self.state();
        let blocks = matches!(rule, Rule::Block { .. });
        let slows_lines = rule.slows_lines();
        let id = state.network.add_rule(rule);
        if slows_lines {
            state.lines_changed();
        }
        if blocks {
            let crossed: Vec<_> = state
                .network
                .links
                .pairs()
                .filter(|(a, b, _)| state.network.is_blocked(*a, *b) || state.network.is_blocked(*b, *a))
                .collect();
            for (a, b, epoch) in crossed {
                state.watch_silence(a, b, epoch);
                state.watch_silence(b, a, epoch);
            }
        }
        id
    }

    pub(crate) fn lift(&self, rule: RuleId) {
        let mut state = self.state();
        if state.network.remove_rule(rule).is_some_and(|rule| rule.slows_lines()) {
            state.lines_changed();
        }
    }
}

//! The network between hosts: links, what travels on them, and what can go wrong.
//!
//! It speaks like the real transport: a link is made by dialling, everything
//! else travels on it, a broken link fails the calls and flows on it. It is
//! harsher than TCP on purpose: gossip is lost, doubled and overtaken, and a
//! lost packet of a call is, half of the time, lost for good.

mod arrive;
mod calls;
mod conditions;
mod flows;
mod line;
mod links;
mod packet;
mod path;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::host::HostId;
#[cfg(test)]
pub(crate) use calls::Asked;
pub(crate) use calls::Calls;
pub(crate) use conditions::{HostSet, LinkQuality};
pub(crate) use conditions::{Rule, RuleId};
pub(crate) use flows::Pipes;
pub(crate) use line::Transfer;
pub(crate) use links::Links;
pub(crate) use packet::{Packet, Piece};
pub(crate) use path::Kind;

/// How good the network is while nothing goes wrong.
#[derive(Debug, Clone)]
pub(crate) struct NetworkConfig {
    pub(crate) within_zone: LinkQuality,
    pub(crate) between_zones: LinkQuality,
    /// Bytes per second of each host's line, each way.
    pub(crate) bandwidth: u64,
    /// After so long without a sign a link is given up. As in the real transport.
    pub(crate) silence: Duration,
    /// How long a dial waits for an answer.
    pub(crate) connect: Duration,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            within_zone: LinkQuality::default(),
            between_zones: LinkQuality { latency: Duration::from_millis(1), ..LinkQuality::default() },
            bandwidth: 1_250_000_000,
            silence: Duration::from_secs(20),
            connect: Duration::from_secs(3),
        }
    }
}

pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    rules: BTreeMap<RuleId, Rule>,
    next_rule: u64,
    pub(crate) links: Links,
    pub(crate) calls: Calls,
    pub(crate) pipes: Pipes,
    pub(crate) sent_bytes: u64,
    /// How many things have ever waited for a line.
    transfers: u64,
}

impl Network {
    pub(crate) fn new(config: NetworkConfig) -> Self {
        Self {
            config,
            rules: BTreeMap::new(),
            next_rule: 0,
            links: Links::default(),
            calls: Calls::default(),
            pipes: Pipes::default(),
            sent_bytes: 0,
            transfers: 0,
        }
    }

    /// Puts a rule into force.
    pub(crate) fn add_rule(&mut self, rule: Rule) -> RuleId {
        self.next_rule += 1;
        self.rules.insert(RuleId(self.next_rule), rule);
        RuleId(self.next_rule)
    }

    pub(crate) fn remove_rule(&mut self, rule: RuleId) -> Option<Rule> {
        self.rules.remove(&rule)
    }

    /// Rules that have ever been in force, and how many are.
    pub(crate) fn rules(&self) -> (u64, usize) {
        (self.next_rule, self.rules.len())
    }

    /// Whether nothing gets from one host to another.
    pub(crate) fn is_blocked(&self, from: HostId, to: HostId) -> bool {
        self.rules.values().any(|rule| rule.blocks(from, to))
    }

    /// How good the way from one host to another is now.
    pub(crate) fn quality(&self, from: HostId, to: HostId, same_zone: bool) -> LinkQuality {
        let mut quality = if same_zone { self.config.within_zone } else { self.config.between_zones };
        for rule in self.rules.values() {
            rule.worsen(from, to, &mut quality);
        }
        quality
    }
}

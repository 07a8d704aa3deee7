use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    Absence, Bandwidth, Clock, Crash, Cut, Direction, DiskFull, DiskLost, DiskSlow, Duplicate, FaultKind, Latency,
    Leave, Loss, Partition, Pause, Reach, Reclaim, Reorder, Role, Rot, SlowPeer, Stage, Strike, SyncFails,
};
use crate::host::{Death, HostId};
use crate::random::Random;
use crate::scenario::{Bytes, Scenario, Share, Span};

/// So many hold data whatever happens, where one of them may lose what it has.
const KEEPERS: usize = 3;

/// Faults at random: each seed has some kinds of them, and none of the others.
///
/// Any number of peers may be down, cut off or slow at the same time, as long
/// as they come back. Copies are harmed for good on so few hosts of a run that
/// no chunk can lose its last, so that whatever is lost is the mesh's fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chaos {
    /// Between two strikes, on average; a seed takes from half to twice that.
    pub every: Span,
    /// How long one lasts, at most; most are far shorter.
    pub lasts: Span,
    /// These kinds alone; none: two to five of all, as the seed has it.
    pub kinds: Vec<ChaosKind>,
}

impl Default for Chaos {
    fn default() -> Self {
        Self { every: Span(Duration::from_secs(4)), lasts: Span(Duration::from_secs(20)), kinds: Vec::new() }
    }
}

/// The faults that chaos is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChaosKind {
    Latency,
    Loss,
    Duplicate,
    Reorder,
    Bandwidth,
    Partition,
    Cut,
    SlowPeer,
    Crash,
    Pause,
    Clock,
    Reclaim,
    Role,
    /// For long some hold nothing, or all but one or two.
    Weightless,
    /// One or two leave, and are away in the midst of it.
    Leave,
    DiskFull,
    /// For long, mostly of one; and another is away long enough to be replaced.
    DiskFullLong,
    DiskSlow,
    SyncFails,
    Rot,
    DiskLost,
}

impl ChaosKind {
    pub const ALL: &[Self] = &[
        Self::Latency,
        Self::Loss,
        Self::Duplicate,
        Self::Reorder,
        Self::Bandwidth,
        Self::Partition,
        Self::Cut,
        Self::SlowPeer,
        Self::Crash,
        Self::Pause,
        Self::Clock,
        Self::Reclaim,
        Self::Role,
        Self::Weightless,
        Self::Leave,
        Self::DiskFull,
        Self::DiskFullLong,
        Self::DiskSlow,
        Self::SyncFails,
        Self::Rot,
        Self::DiskLost,
    ];

    /// Whether copies come to harm for good.
    fn harms(self) -> bool {
        matches!(self, Self::Reclaim | Self::Rot | Self::DiskLost)
    }

    /// Whether it lasts so long that all else has its time in it.
    fn is_long(self) -> bool {
        matches!(self, Self::Weightless | Self::Leave | Self::DiskFullLong)
    }

    /// A fault of this kind, with parameters by chance.
    fn draw(self, random: &mut Random) -> FaultKind {
        let with = if random.below(2) == 0 { Reach::All } else { Reach::Rest };
        let ms = |random: &mut Random, below| Span(Duration::from_millis(1 + random.below(below)));
        let share = |random: &mut Random, percent| Share((1 + random.below(percent)) as f64 / 100.0);
        match self {
            Self::Latency => FaultKind::Latency(Latency { latency: ms(random, 800), jitter: ms(random, 400), with }),
            Self::Loss => FaultKind::Loss(Loss { share: share(random, 40), with }),
            Self::Duplicate => FaultKind::Duplicate(Duplicate { share: share(random, 60), with }),
            Self::Reorder => FaultKind::Reorder(Reorder { share: share(random, 60), with }),
            Self::Bandwidth => FaultKind::Bandwidth(Bandwidth { bandwidth: Bytes(1_000_000 << random.below(6)), with }),
            Self::Partition => {
                let direction = [Direction::Both, Direction::Both, Direction::Out, Direction::In];
                let direction = random.pick(&direction).copied().unwrap_or_default();
                let links = if random.below(3) == 0 { share(random, 99) } else { Share(1.0) };
                FaultKind::Partition(Partition { direction, links })
            }
            Self::Cut => {
                let again = if random.below(2) == 0 { Span::default() } else { ms(random, 3_000) };
                FaultKind::Cut(Cut { links: share(random, 100), again })
            }
            Self::SlowPeer => {
                FaultKind::SlowPeer(SlowPeer { lag: ms(random, 2_000), times: (2 + random.below(9)) as f64 })
            }
            Self::Crash => FaultKind::Crash(match random.below(3) {
                0 => Crash { by: Death::Kill, within_changes: 0 },
                1 => Crash { by: Death::Power, within_changes: 0 },
                _ => Crash { by: Death::Power, within_changes: 1 + random.below(40) },
            }),
            Self::Pause => FaultKind::Pause(Pause::default()),
            Self::Clock => {
                let (off, none) = (Span(Duration::from_secs(1 + random.below(7_200))), Span::default());
                let (behind, ahead) = if random.below(3) < 2 { (off, none) } else { (none, off) };
                let drift_ppm = if random.below(2) == 0 { 0 } else { random.below(100_001) as i64 - 50_000 };
                FaultKind::Clock(Clock { behind, ahead, drift_ppm, restarts: random.below(2) == 0 })
            }
            Self::Reclaim => FaultKind::Reclaim(Reclaim::default()),
            Self::Role => FaultKind::Role(match random.below(2) {
                0 => Role { leaves: true, wiped: random.below(2) == 0, ..Role::default() },
                _ => Role { weight: Some(1 + random.below(400) as u32), ..Role::default() },
            }),
            Self::Weightless => FaultKind::Role(Role { weight: Some(0), ..Role::default() }),
            Self::Leave => {
                let by = [Absence::Kill, Absence::Kill, Absence::Power, Absence::Pause, Absence::Cut];
                let when = [Stage::Told, Stage::Joint, Stage::Joint, Stage::Joint, Stage::Settled];
                FaultKind::Leave(Leave {
                    wiped: random.below(3) > 0,
                    by: random.pick(&by).copied().unwrap_or(Absence::Kill),
                    when: random.pick(&when).copied().unwrap_or(Stage::Joint),
                    within: if random.below(2) == 0 { Span::default() } else { ms(random, 3_000) },
                    away: ms(random, 15_000),
                })
            }
            Self::DiskFull => FaultKind::DiskFull(DiskFull { free: Bytes(random.below(64) << 20) }),
            Self::DiskFullLong => FaultKind::DiskFull(DiskFull { free: Bytes(random.below(16) << 20) }),
            Self::DiskSlow => FaultKind::DiskSlow(DiskSlow { times: (2 + random.below(99)) as f64 }),
            Self::SyncFails => FaultKind::SyncFails(SyncFails::default()),
            Self::Rot => FaultKind::Rot(Rot { chunks: 1 + random.below(4) as u32 }),
            Self::DiskLost => FaultKind::DiskLost(DiskLost {}),
        }
    }
}

impl Chaos {
    /// What goes wrong among these hosts, beside that which is `planned` already.
    pub(super) fn strikes(
        &self,
        scenario: &Scenario,
        hosts: &BTreeSet<HostId>,
        planned: &[Strike],
        random: &mut Random,
    ) -> Vec<Strike> {
        let mut kinds = self.kinds(random);
        let every = self.every.0 / 2 * (1 << random.below(3));
        let mut harm = Harm::new(scenario, planned);
        let mut there: Vec<HostId> = hosts.iter().copied().collect();
        // Where many leave or hold nothing, few copies are left: then no more may come to harm.
        let comes_to_harm = harm.most > 0 && kinds.iter().any(|kind| kind.harms()) || !planned.is_empty();
        kinds.retain(|kind| *kind != ChaosKind::Leave || !comes_to_harm);
        let keepers = random.sample(&there, KEEPERS);
        let mut strikes = Vec::new();
        let mut at = Duration::ZERO;
        loop {
            // Some come in the same moment.
            if strikes.is_empty() || random.below(6) > 0 {
                at += random.time_below(2 * every) + Duration::from_millis(1);
            }
            let Some(kind) = random.pick(&kinds).copied().filter(|_| at < scenario.duration.0) else {
                return strikes;
            };
            let victims = match kind {
                _ if kind.harms() => harm.victim(kind, &there, random).into_iter().collect(),
                ChaosKind::Leave => {
                    let count = 1 + random.below(4) / 3;
                    random.sample(&there, count as usize)
                }
                ChaosKind::Weightless => many(&there, if comes_to_harm { &keepers } else { &[] }, random),
                ChaosKind::DiskFullLong => {
                    let count = 1 + random.below(4) / 3;
                    random.sample(&there, count as usize)
                }
                _ => some(scenario, &there, random),
            };
            if victims.is_empty() {
                continue;
            }
            let is_for_good = kind == ChaosKind::Reclaim && random.below(2) == 0;
            if is_for_good {
                there.retain(|host| !victims.contains(host));
            }
            let lasts = (!is_for_good).then(|| match kind.is_long() {
                true => self.lasts.0 / 2 + random.time_below(self.lasts.0),
                false => length(self.lasts.0, random),
            });
            if kind == ChaosKind::DiskFullLong && random.below(2) == 0 {
                let others: Vec<HostId> = there.iter().copied().filter(|host| !victims.contains(host)).collect();
                let dead = random.sample(&others, 1);
                let (kind, lasts) =
                    (FaultKind::Crash(Crash::default()), self.lasts.0 / 2 + random.time_below(self.lasts.0));
                let at = at + random.time_below(Duration::from_secs(2));
                if !dead.is_empty() && at < scenario.duration.0 {
                    strikes.push(Strike { number: 0, at, lasts: Some(lasts), victims: dead, kind });
                }
            }
            let mut kind = kind.draw(random);
            if let FaultKind::Role(role) = &mut kind
                && comes_to_harm
            {
                role.leaves = false;
            }
            strikes.push(Strike { number: 0, at, lasts, victims, kind });
        }
    }

    fn kinds(&self, random: &mut Random) -> Vec<ChaosKind> {
        if self.kinds.is_empty() {
            let count = 2 + random.below(4) as usize;
            random.sample(ChaosKind::ALL, count)
        } else {
            self.kinds.clone()
        }
    }
}

/// Hosts whose copies come to harm.
struct Harm {
    hosts: BTreeSet<HostId>,
    /// Those of them that have lost everything, and with it who they were:
    /// the one that comes in its place would be the next to be lost.
    lost: BTreeSet<HostId>,
    most: usize,
}

impl Harm {
    /// An object that is put while few peers are there has two copies at
    /// first (one, if that is all there should be), and a minority of the
    /// members may be gone for good.
    fn new(scenario: &Scenario, planned: &[Strike]) -> Self {
        let most = (scenario.replicas as usize).min(2).min((scenario.peers as usize).div_ceil(2)).saturating_sub(1);
        let mut harm = Self { hosts: BTreeSet::new(), lost: BTreeSet::new(), most };
        for strike in planned {
            match strike.kind {
                FaultKind::DiskLost(_) | FaultKind::Reclaim(_) => {
                    harm.hosts.extend(strike.victims.iter().copied());
                    harm.lost.extend(strike.victims.iter().copied());
                }
                FaultKind::Rot(_) | FaultKind::SyncLies(_) => harm.hosts.extend(strike.victims.iter().copied()),
                _ => {}
            }
        }
        harm
    }

    /// One more, or one of those who have been.
    fn victim(&mut self, kind: ChaosKind, there: &[HostId], random: &mut Random) -> Option<HostId> {
        if self.hosts.len() < self.most {
            self.hosts.extend(random.pick(there).copied());
        }
        let rots = kind == ChaosKind::Rot;
        let is_fit = |host: &HostId| self.hosts.contains(host) && (rots || !self.lost.contains(host));
        let harmed: Vec<HostId> = there.iter().copied().filter(is_fit).collect();
        let victim = random.pick(&harmed).copied();
        self.lost.extend(victim.filter(|_| !rots));
        victim
    }
}

/// One host mostly, else a few, a whole zone, or everyone.
fn some(scenario: &Scenario, there: &[HostId], random: &mut Random) -> Vec<HostId> {
    match random.below(10) {
        0 => there.to_vec(),
        1 if scenario.zones > 1 => {
            let zone = random.below(u64::from(scenario.zones)) as u32;
            there.iter().copied().filter(|host| host.0 % scenario.zones == zone).collect()
        }
        1..=3 => {
            let few = 2 + random.below(there.len() as u64 / 2);
            random.sample(there, few as usize)
        }
        _ => random.sample(there, 1),
    }
}

/// Some but for the `keepers`, or all but these and one or two.
fn many(there: &[HostId], keepers: &[HostId], random: &mut Random) -> Vec<HostId> {
    let others: Vec<HostId> = there.iter().copied().filter(|host| !keepers.contains(host)).collect();
    let count = match random.below(2) {
        0 => 1 + random.below(others.len() as u64 / 2 + 1) as usize,
        _ if keepers.is_empty() => others.len().saturating_sub(1 + random.below(2) as usize),
        _ => others.len(),
    };
    random.sample(&others, count)
}

/// From a thousandth of the longest to that: as many below a tenth as above.
fn length(longest: Duration, random: &mut Random) -> Duration {
    let most = longest / (1 << random.below(10));
    most / 2 + random.time_below(most / 2)
}

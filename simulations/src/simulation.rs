//! One run: a scenario, a seed, and what came of it.

mod account;
mod samples;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use shoal_runtime::{Bounds, Planted, Timing};
use shoal_types::Result;

use crate::disk::DiskConfig;
use crate::executor::{self, Idle};
use crate::faults::{self, Strike};
use crate::invariants::{self, Invariant, Moment};
use crate::network::{LinkQuality, NetworkConfig};
use crate::panics;
use crate::replay::{Origin, Replay, Source};
use crate::report::Report;
use crate::scenario::Scenario;
use crate::voice::Voice;
use crate::watch::Watch;
use crate::workload;
use crate::world::{HostSpec, World, WorldConfig};
use samples::Samples;

/// How long a mesh may take to form and to take its data in.
const SETUP: Duration = Duration::from_secs(600);

/// Inbound events that may wait at a peer.
const INBOUND_MAX: usize = 16_384;

/// Stack of a thread that runs simulations, in bytes: actors that start and
/// end one another go deep.
pub const STACK_BYTES: usize = 16 << 20;

/// What is to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// As this seed has it; its origin keeps what it was made of.
    pub scenario: Scenario,
    pub seed: u64,
    /// Only these of the planned faults, by number; all if `None`.
    pub only: Option<BTreeSet<usize>>,
    /// A bug to be found. For tests of the simulator.
    pub planted: Option<Planted>,
    /// Another, in the simulated engine.
    pub mixes_attempts: bool,
    /// Tell the story on standard error as it happens.
    pub aloud: bool,
    /// Where the scenario comes from, for the line that replays the run.
    pub(crate) source: Source,
}

impl Simulation {
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let source = Source::of(&scenario);
        Self::of(source, scenario, seed)
    }

    /// What the origin of a scenario makes of a seed.
    ///
    /// # Errors
    ///
    /// What comes of its changes makes no sense.
    pub(crate) fn from_source(source: Source, seed: u64) -> Result<Self> {
        let scenario = source.scenario()?;
        Ok(Self::of(source, scenario, seed))
    }

    fn of(source: Source, scenario: Scenario, seed: u64) -> Self {
        let scenario = scenario.for_seed(seed);
        Self { scenario, seed, only: None, planted: None, mixes_attempts: false, aloud: false, source }
    }

    /// The faults of the run, in the order of time.
    pub(crate) fn strikes(&self) -> Vec<Strike> {
        let mut strikes = faults::plan(&self.scenario, self.seed);
        if let Some(only) = &self.only {
            strikes.retain(|strike| only.contains(&strike.number));
        }
        strikes
    }

    /// Runs it, on this thread, which needs a stack of [`STACK_BYTES`].
    pub fn run(&self) -> Result<Report> {
        self.run_watched(&Watch::default())
    }

    /// The same, while others look on.
    ///
    /// # Errors
    ///
    /// The scenario cannot be built. What goes wrong in a run, even a panic, is
    /// a violation and in the report.
    pub fn run_watched(&self, watch: &Watch) -> Result<Report> {
        let began = now();
        let _panics = panics::listen();
        let voice = Voice::default();
        let _words = voice.listen(watch.clone(), self.aloud);
        let run = AssertUnwindSafe(|| executor::run(async |idle| self.run_on(&idle, watch, &voice, &began).await));
        let mut report = match std::panic::catch_unwind(run) {
            Ok(report) => report.map_err(|error| shoal_types::Error::bug(format!("no runtime: {error}")))??,
            Err(_) => account::broken_off(self, watch),
        };
        if let Some(panic) = panics::take()
            && report.violations.is_empty()
        {
            report.violations.push(account::panicked(self, watch, panic, &report.trace));
        }
        report.wall = began.elapsed_wall();
        Ok(report)
    }

    async fn run_on(&self, idle: &Idle, watch: &Watch, voice: &Voice, began: &Wall) -> Result<Report> {
        let world = self.world()?;
        {
            let mut state = world.state();
            state.watch = watch.clone();
            state.voice = voice.clone();
        }
        let samples = Samples::new();
        let mut invariants = invariants::all();
        let mut checks = BTreeMap::new();
        let formed = Cell::new((Duration::ZERO, Duration::ZERO));
        let note_formed = || formed.set((world.now(), began.elapsed_wall()));
        let life = self.live_through(&world, idle, &samples, note_formed, &mut invariants, &mut checks);
        // A panic of the world itself: what it was is noted.
        let healed_after = AssertUnwindSafe(life).catch_unwind().await.unwrap_or_default();
        world.look_for_panics();
        let mut report = account::report(self, &world, &samples, checks, healed_after);
        (report.formed, report.formed_wall) = formed.get();
        world.clear();
        // What was aborted is dropped when it is polled next.
        idle.reached().await;
        Ok(report)
    }

    pub(crate) fn world(&self) -> Result<World> {
        let scenario = &self.scenario;
        let scale = scenario.workload.bytes_scale();
        let timing = Timing {
            repair_delay: scenario.timing.repair_delay.0,
            repair_interval: scenario.timing.repair_interval.0,
            grace: scenario.timing.grace.0,
            scrub: scenario.timing.scrub.0,
            ..Timing::default()
        };
        let chunk_bytes = scenario.workload.chunk_real.0 as usize;
        let config = WorldConfig {
            replicas: scenario.replicas,
            timing,
            // What comes slowly is chunk by chunk on its way, as what is large elsewhere.
            bounds: Bounds { chunk_cache_bytes: 1 << 20, put_batch_bytes: chunk_bytes, ..Bounds::default() },
            planted: self.planted,
            mixes_attempts: self.mixes_attempts,
            chunk_bytes,
            bytes_scale: scale,
            inbound_max: INBOUND_MAX,
        };
        let quality = |latency: crate::Span, jitter: crate::Span| LinkQuality {
            latency: latency.0,
            jitter: jitter.0,
            loss: scenario.network.loss.0,
            duplicate: scenario.network.duplicate.0,
            reorder: scenario.network.reorder.0,
            bandwidth: None,
        };
        let network = NetworkConfig {
            within_zone: quality(scenario.network.latency, scenario.network.jitter),
            between_zones: quality(scenario.network.zone_latency, scenario.network.zone_jitter),
            bandwidth: scenario.hosts.bandwidth.0,
            ..NetworkConfig::default()
        };
        let hosts = &scenario.hosts;
        let disk = DiskConfig {
            capacity_bytes: (hosts.disk_capacity.0 / scale).max(16 << 20),
            chunk_bytes_scale: scale,
            read_bytes_per_second: hosts.disk_read.0,
            write_bytes_per_second: hosts.disk_write.0,
            sync: hosts.disk_sync.0,
            seek: hosts.disk_seek.0,
        };
        let specs = (0..scenario.peers).map(|n| HostSpec {
            zone: scenario.zone_of(crate::host::HostId(n)),
            weight: 100,
            slots: hosts.slots,
            disk,
            is_late: scenario.is_late(crate::host::HostId(n)),
        });
        let world = World::build(self.seed, config, network, specs.collect());
        world.state().trace.aloud = self.aloud;
        if scenario.formed {
            world.form()?;
        }
        Ok(world)
    }

    /// The whole run; how long the mesh took to heal.
    async fn live_through(
        &self,
        world: &World,
        idle: &Idle,
        samples: &Samples,
        note_formed: impl Fn(),
        invariants: &mut [Box<dyn Invariant>],
        checks: &mut BTreeMap<String, u64>,
    ) -> Option<Duration> {
        let scenario = &self.scenario;
        let hosts = world.hosts();
        for host in &hosts {
            let after = scenario.start_within.0 * host.0 / (hosts.len() as u32).max(1);
            let host = *host;
            world.after(after, "start", move |world| world.start(host));
        }
        samples.schedule(world);
        let data = workload::data_objects(&scenario.workload);
        if !self.set_up(world, idle, &data).await {
            return None;
        }
        let begun = world.now();
        note_formed();
        world.state().watch.begin(begun);
        world.tell(None, "the mesh is there, with its data");
        for strike in self.strikes() {
            samples.mark(begun, &strike);
            strike.schedule(world);
        }
        let end = begun + scenario.duration.0;
        world.run_clients(&scenario.workload, end);
        world.run_appenders(&scenario.workload, end);
        workload::schedule_jobs(world, &scenario.workload.jobs, &data, scenario.duration.0);
        while world.now() < end && self.step(world, idle, Moment::Tick, invariants, checks).await {}
        if world.state().stopped {
            return None;
        }
        world.tell(None, "nothing goes wrong any more");
        self.heal(world, idle, end, invariants, checks).await
    }

    /// One second, and a look at everything. Whether to go on.
    async fn step(
        &self,
        world: &World,
        idle: &Idle,
        moment: Moment,
        invariants: &mut [Box<dyn Invariant>],
        checks: &mut BTreeMap<String, u64>,
    ) -> bool {
        let until = world.now() + Duration::from_secs(1);
        world.run_until(idle, until).await;
        if world.state().stopped {
            return false;
        }
        look(world, moment, invariants, checks);
        !world.state().stopped
    }

    /// Waits for all peers to be up and for all data to be acknowledged.
    async fn set_up(&self, world: &World, idle: &Idle, data: &[(String, bytes::Bytes)]) -> bool {
        let (done, mut put) = futures::channel::oneshot::channel();
        let (putting, data) = (world.clone(), data.to_vec());
        tokio::spawn(async move {
            putting.until_formed().await;
            putting.put_data(data).await;
            let _ = done.send(());
        });
        while world.now() < SETUP && !world.state().stopped {
            let until = world.now() + Duration::from_millis(100);
            world.run_until(idle, until).await;
            if matches!(put.try_recv(), Ok(Some(()))) {
                return true;
            }
        }
        if !world.state().stopped {
            let what = format!("the mesh did not form and take its data in within {} s", SETUP.as_secs());
            world.violate("forms", &[], what);
        }
        false
    }

    /// Lets the mesh heal, and looks at it a last time.
    async fn heal(
        &self,
        world: &World,
        idle: &Idle,
        since: Duration,
        invariants: &mut [Box<dyn Invariant>],
        checks: &mut BTreeMap<String, u64>,
    ) -> Option<Duration> {
        loop {
            if invariants.iter_mut().all(|invariant| invariant.is_whole(world)) {
                break;
            }
            if world.now() > since + self.scenario.heal.0 {
                let sick: Vec<&str> = invariants
                    .iter_mut()
                    .filter_map(|invariant| (!invariant.is_whole(world)).then(|| invariant.name()))
                    .collect();
                let what = format!(
                    "{} s after the last fault these are not whole: {}{}",
                    self.scenario.heal.0.as_secs(),
                    sick.join(", "),
                    invariants::symptoms(world, invariants),
                );
                world.violate("heals", &[], what);
                return None;
            }
            if !self.step(world, idle, Moment::Healing, invariants, checks).await {
                return None;
            }
        }
        let healed_after = world.now() - since;
        world.tell(None, "all is whole again");
        look(world, Moment::End, invariants, checks);
        Some(healed_after)
    }
}

fn look(world: &World, moment: Moment, invariants: &mut [Box<dyn Invariant>], checks: &mut BTreeMap<String, u64>) {
    for invariant in invariants {
        if invariant.check(world, moment) {
            *checks.entry(invariant.name().to_owned()).or_default() += 1;
        }
    }
}

/// Real time, for the report alone.
struct Wall(Instant);

#[allow(clippy::disallowed_methods, reason = "how fast a simulation runs is a matter of real time")]
fn now() -> Wall {
    Wall(Instant::now())
}

impl Wall {
    #[allow(clippy::disallowed_methods, reason = "as above")]
    fn elapsed_wall(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Simulation {
    /// Whether this build has bugs to plant.
    pub const fn can_plant() -> bool {
        Planted::POSSIBLE
    }

    /// The same with another seed.
    ///
    /// # Errors
    ///
    /// As [`Simulation::changed`].
    pub(crate) fn with_seed(&self, seed: u64) -> Result<Self> {
        Self { seed, ..self.clone() }.changed(|_| {})
    }

    /// The same with another scenario of its origin.
    ///
    /// # Errors
    ///
    /// What comes of the change makes no sense.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Origin)) -> Result<Self> {
        let mut source = self.source.clone();
        change(&mut source.origin);
        Ok(Self { scenario: source.scenario()?.for_seed(self.seed), source, ..self.clone() })
    }

    /// The command that runs it again, to the same event.
    pub(crate) fn replay_command(&self, trace: &str) -> String {
        Replay::of(self, Some(trace)).command()
    }
}

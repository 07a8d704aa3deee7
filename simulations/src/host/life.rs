//! How a peer starts on a host, and how it dies.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_ports::{Inbound, Ports, Store};
use shoal_runtime::{Peer, PeerConfig, Stopped, next_incarnation, remembered_role, remembered_secrets};
use shoal_store::{LocalStore, StoreConfig};
use shoal_types::{PeerInfo, Result, RoleChange, SecretText};
use tokio::sync::mpsc;

use super::{Host, HostId, Incarnation, Running};
use crate::compute::{ComputeConfig, SimCompute};
use crate::disk::Outage;
use crate::network::{Kind, Packet};
use crate::ports::{ClockPort, SpawnerPort, TransportPort, WitnessedStore};
use crate::random::RngPort;
use crate::world::World;

/// What the beginning of virtual time is on the wall clocks of hosts, in ms
/// since the epoch: 1 January 2030.
pub(crate) const EPOCH_MS: u64 = 1_893_456_000_000;

/// What admits to a simulated mesh, at first.
const SECRET: &str = "the secret of a simulated mesh";

/// How long a service manager waits before it starts again what has stopped.
const RESTART: Duration = Duration::from_secs(3);

/// Memory for caches of one store: there are many.
const CACHE_BYTES: u64 = 256 << 10;

/// So short that they are settled often: some hundred small objects.
const REGISTER_LOG_BYTES: u64 = 32 << 10;

/// How a peer ends that is not asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Death {
    /// The process is killed: its links are closed by the kernel, and what it
    /// wrote is there.
    Kill,
    /// The power goes: nobody says anything, and what was not synced may be
    /// lost or torn.
    Power,
}

/// What a peer starts with.
struct Birth {
    config: PeerConfig,
    ports: Ports,
    inbound: mpsc::Receiver<Inbound>,
    incarnation: Arc<Incarnation>,
}

impl Running {
    fn end(self) {
        self.incarnation.end();
        if let Some(peer) = &self.peer {
            peer.kill();
        }
    }
}

impl Host {
    pub(crate) fn inbound(&self) -> Option<mpsc::Sender<Inbound>> {
        self.running.as_ref().map(|running| running.inbound.clone())
    }

    /// Whether the machine is there to say that nobody listens.
    pub(crate) fn refuses(&self) -> bool {
        self.running.is_none() && !self.powerless
    }
}

impl World {
    /// Starts the peer of a host, unless it is up.
    pub(crate) fn start(&self, id: HostId) {
        let Some(Birth { config, ports, inbound, incarnation }) = self.birth(id) else {
            return;
        };
        let (world, number) = (self.clone(), incarnation.number);
        let starting = incarnation.spawn("start", async move {
            match Peer::start(config, ports, inbound).await {
                Ok(peer) => world.started(id, number, peer),
                Err(error) => world.failed_to_start(id, number, &error.to_string()),
            }
        });
        debug_assert!(starting.is_some(), "it has just been born");
    }

    fn birth(&self, id: HostId) -> Option<Birth> {
        let disk = {
            let mut state = self.state();
            let host = &mut state.hosts[id.index()];
            if host.is_up() || host.held > 0 {
                return None;
            }
            host.powerless = false;
            host.paused_until = None;
            host.incarnations += 1;
            host.disk.mount()
        };
        let (peer, number, slowness) = {
            let state = self.state();
            let host = &state.hosts[id.index()];
            (host.id, host.incarnations, host.slowness.clone())
        };
        let salt = *blake3::keyed_hash(peer.as_bytes(), &number.to_le_bytes()).as_bytes();
        let config = StoreConfig {
            reserve_bytes: Some(0),
            cache_bytes: CACHE_BYTES,
            register_cache_bytes: CACHE_BYTES,
            register_log_bytes: REGISTER_LOG_BYTES,
            ..StoreConfig::new(peer, salt)
        };
        let store: Arc<dyn Store> = match LocalStore::open(disk, config) {
            Ok(store) => Arc::new(WitnessedStore::new(self.clone(), id, Arc::new(store))),
            Err(error) => {
                self.tell(Some(id), format!("its store does not open: {error}"));
                self.start_again(id, number);
                return None;
            }
        };
        let clock = Arc::new(ClockPort::new(self.clone(), id, number));
        let remembered = || -> Result<_> {
            let born_as = next_incarnation(&*store, &*clock)?;
            let configured = self.state().hosts[id.index()].info(id, born_as);
            let info = remembered_role(&*store, configured, &RoleChange::default())?;
            Ok((info, remembered_secrets(&*store, SecretText::new(SECRET))?))
        };
        let (info, secrets) = match remembered() {
            Ok(remembered) => remembered,
            Err(error) => {
                self.tell(Some(id), format!("its store does not work: {error}"));
                self.start_again(id, number);
                return None;
            }
        };
        let compute_config = ComputeConfig {
            seed: self.random(&[1, u64::from(id.0), number]).next_u64(),
            chunk_bytes: self.config().chunk_bytes,
            bytes_scale: self.config().bytes_scale,
            mixes_attempts: self.config().mixes_attempts,
        };
        let compute = SimCompute::new(compute_config, peer, clock.clone(), slowness);
        let incarnation = Incarnation::new(id, number);
        let (sender, inbound) = mpsc::channel(self.config().inbound_max);
        #[cfg(test)]
        let kept = store.clone();
        let ports = Ports {
            transport: Arc::new(TransportPort::new(self.clone(), incarnation.clone(), peer)),
            store,
            compute: compute.clone(),
            clock,
            rng: Arc::new(RngPort::new(self.random(&[2, u64::from(id.0), number]))),
            spawner: Arc::new(SpawnerPort::new(self.clone(), incarnation.clone())),
            files: None,
        };
        let mut state = self.state();
        let now = state.heap.now();
        let host = &mut state.hosts[id.index()];
        let mut config = PeerConfig::new(info.clone());
        config.secrets = secrets;
        config.timing = self.config().timing.clone();
        config.bounds = self.config().bounds.clone();
        // Whether this build can have it was asked before the run.
        let _ = self.config().planted.is_some_and(|bug| config.plant(bug));
        config.join = host.join.iter().map(|host| host.address()).collect();
        config.form = host.forms;
        host.running = Some(Running {
            incarnation: incarnation.clone(),
            inbound: sender,
            compute,
            #[cfg(test)]
            store: kept,
            info: Arc::new(info),
            secrets: config.secrets.clone(),
            peer: None,
            since: now,
        });
        state.trace.line(now, Some(id), "starts".into());
        Some(Birth { config, ports, inbound, incarnation })
    }

    fn started(&self, id: HostId, number: u64, peer: Peer) {
        let mut state = self.state();
        if let Some(running) = &mut state.hosts[id.index()].running
            && running.incarnation.number == number
        {
            running.peer = Some(peer.clone());
            let incarnation = running.incarnation.clone();
            drop(state);
            self.watch_over(&incarnation, peer);
            return;
        }
        drop(state);
        // It died while it started.
        peer.kill();
    }

    fn failed_to_start(&self, id: HostId, number: u64, why: &str) {
        if self.state().hosts[id.index()].lives(number) {
            self.tell(Some(id), format!("did not start: {why}"));
            self.crash(id, Death::Kill);
            self.start_again(id, number);
        }
    }

    /// A peer that stops by itself is started again, as service managers do.
    fn watch_over(&self, incarnation: &Arc<Incarnation>, peer: Peer) {
        let (world, id, number) = (self.clone(), incarnation.host, incarnation.number);
        let watching = incarnation.spawn("watch", async move {
            let why = peer.stopped().await;
            if world.state().hosts[id.index()].lives(number) {
                world.tell(Some(id), format!("has stopped by itself: {why:?}"));
                // Not from here: this task is one of those that end with it.
                world.after(Duration::ZERO, "stopped", move |world| {
                    if world.state().hosts[id.index()].lives(number) {
                        world.has_stopped(id, number, &why);
                        world.start_again(id, number);
                    }
                });
            }
        });
        debug_assert!(watching.is_some(), "it has just started");
    }

    /// A peer has ended by itself. The disk of one that left may have been for others.
    fn has_stopped(&self, id: HostId, number: u64, why: &Stopped) {
        let is_wiped = std::mem::take(&mut self.state().hosts[id.index()].wiped_when_left);
        if is_wiped && *why == Stopped::Left {
            self.give_away(id);
            self.renew(id, &mut self.random(&[3, u64::from(id.0), number]));
        } else {
            self.crash(id, Death::Kill);
        }
    }

    /// Starts a peer after a while, unless somebody else has.
    fn start_again(&self, id: HostId, number: u64) {
        self.after(RESTART, "restart", move |world| {
            let is_off = {
                let state = world.state();
                let host = &state.hosts[id.index()];
                host.incarnations != number || host.powerless
            };
            if !is_off {
                world.start(id);
            }
        });
    }

    /// Ends a peer as a crash does. What it had on the way to others still arrives.
    pub(crate) fn crash(&self, id: HostId, death: Death) {
        let (running, links) = {
            let mut state = self.state();
            let now = state.heap.now();
            let host = &mut state.hosts[id.index()];
            let Some(running) = host.running.take() else {
                return;
            };
            host.stats.up += now.saturating_sub(running.since);
            let counters = running.compute.counters();
            host.stats.tasks += counters.tasks_finished;
            host.stats.busy += counters.busy;
            host.powerless = death == Death::Power;
            host.paused_until = None;
            host.known.clear();
            host.disk_ready = now;
            host.disk.outage(match death {
                Death::Kill => Outage::Process,
                Death::Power => Outage::Power,
            });
            state.forget_dials(id);
            let links = state.network.links.of(id);
            for (other, epoch) in &links {
                if death == Death::Kill {
                    let closing = Packet::Close { from: id, epoch: *epoch };
                    state.send(self.seed(), id, *other, Kind::Signal, 1, closing);
                }
                state.watch_silence(*other, id, *epoch);
            }
            let how = match death {
                Death::Kill => "is killed",
                Death::Power => "loses its power",
            };
            state.trace.line(now, Some(id), how.into());
            (running, links)
        };
        for (other, epoch) in links {
            self.link_down(id, other, epoch);
        }
        running.end();
    }

    /// Ends all peers, and says nothing of it: the world is over.
    pub(crate) fn end_all(&self) {
        for id in self.hosts() {
            let running = self.state().hosts[id.index()].running.take();
            if let Some(running) = running {
                running.end();
            }
        }
    }

    /// Stops the world for a host: nothing of it runs, nothing reaches it, and
    /// then all of it at once.
    pub(crate) fn pause(&self, id: HostId, pause: Duration) {
        let mut state = self.state();
        let now = state.heap.now();
        let host = &mut state.hosts[id.index()];
        if host.is_up() {
            let until = now + pause;
            host.paused_until = Some(host.paused_until.map_or(until, |before| before.max(until)));
            state.trace.line(now, Some(id), format!("is paused for {:.3} s", pause.as_secs_f64()));
        }
    }

    /// A disk does what was asked of it.
    pub(crate) fn disk_works(&self, id: HostId, work: Box<dyn FnOnce() + Send>) {
        work();
        let lost_power = {
            let mut state = self.state();
            let now = state.heap.now();
            let host = &mut state.hosts[id.index()];
            host.disk_ready = host.disk_ready.max(now) + host.disk.take_cost();
            host.disk.is_off() && host.is_up()
        };
        if lost_power {
            self.crash(id, Death::Power);
        }
    }
}

impl Host {
    fn info(&self, id: HostId, incarnation: u64) -> PeerInfo {
        PeerInfo {
            id: self.id,
            name: id.name(),
            zone: self.zone.clone(),
            weight: self.weight,
            addresses: vec![id.address()],
            version: "simulated".into(),
            incarnation,
            machine: u64::from(id.0),
            pid: 1,
            slots: self.slots,
            gateway: None,
            leaves: false,
            revision: 0,
            mesh: None,
            replicas: self.replicas,
        }
    }
}

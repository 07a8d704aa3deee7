//! How a world begins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shoal_store::{LocalStore, StoreConfig};
use shoal_types::{Layout, Member, MeshId, PeerId, Result, wire};

use super::{World, WorldConfig};
use crate::compute::Slowness;
use crate::disk::{DiskConfig, SimDisk};
use crate::host::{ClockConditions, Host, HostId, HostStats};
use crate::network::{Network, NetworkConfig};
use crate::random::Random;

/// A host to be.
#[derive(Debug, Clone)]
pub(crate) struct HostSpec {
    pub(crate) zone: String,
    pub(crate) weight: u32,
    pub(crate) slots: u32,
    pub(crate) disk: DiskConfig,
    /// Not there before it is let in.
    pub(crate) is_late: bool,
}

impl World {
    /// A world of hosts that are down, with empty disks. The first one forms a
    /// mesh, the others look for it there.
    pub(crate) fn build(seed: u64, config: WorldConfig, network: NetworkConfig, specs: Vec<HostSpec>) -> Self {
        let replicas = config.replicas;
        let hosts = specs.into_iter().enumerate().map(|(n, spec)| {
            let random = |purpose| Random::of(seed, &[purpose, n as u64]);
            let mut id = [0; 32];
            for piece in id.chunks_mut(8) {
                // Each word from a stream of its own: ids are spread like real ones.
                piece.copy_from_slice(&random(100 + u64::from(piece[0])).next_u64().to_le_bytes());
            }
            Host {
                id: PeerId::from_bytes(*blake3::hash(&id).as_bytes()),
                zone: spec.zone,
                weight: spec.weight,
                slots: spec.slots,
                disk: SimDisk::new(random(200).next_u64(), spec.disk),
                join: if n == 0 { Vec::new() } else { vec![HostId(0)] },
                forms: n == 0,
                replicas: (n == 0).then_some(replicas),
                powerless: false,
                wiped_when_left: false,
                held: u32::from(spec.is_late),
                running: None,
                incarnations: 0,
                paused_until: None,
                clock: ClockConditions::default(),
                lag: Duration::ZERO,
                slowness: Slowness::default(),
                disk_ready: Duration::ZERO,
                up_ready: Duration::ZERO,
                down_ready: Duration::ZERO,
                known: BTreeSet::new(),
                packets: 0,
                stats: HostStats::default(),
            }
        });
        Self::new(seed, config, hosts.collect(), Network::new(network))
    }

    /// Makes the hosts members of one mesh that has been there before: each
    /// disk holds its layout, and where some of the others were.
    pub(crate) fn form(&self) -> Result<()> {
        let (layout, addresses) = {
            let state = self.state();
            let mut members: Vec<Member> = (0u32..)
                .zip(&state.hosts)
                .filter(|(_, host)| host.held == 0)
                .map(|(n, host)| Member {
                    id: host.id,
                    name: HostId(n).name(),
                    zone: host.zone.clone(),
                    weight: host.weight,
                    revision: 0,
                    since: 1,
                })
                .collect();
            members.sort_by_key(|member| member.id);
            let mut mesh = [0; 16];
            mesh[..8].copy_from_slice(&self.random(&[300]).next_u64().to_le_bytes());
            let layout = Layout {
                mesh: MeshId::from_bytes(mesh),
                version: 1,
                members,
                previous: None,
                replicas: self.config().replicas,
            };
            let present = (0u32..).zip(&state.hosts).filter(|(_, host)| host.held == 0);
            let addresses: Vec<(PeerId, Vec<String>)> =
                present.map(|(n, host)| (host.id, vec![HostId(n).address()])).collect();
            (layout, addresses)
        };
        let note = wire::encode(&layout)?;
        let mut random = self.random(&[301]);
        for id in self.hosts() {
            let (peer, disk) = {
                let state = self.state();
                let host = &state.hosts[id.index()];
                if host.held > 0 {
                    continue;
                }
                (host.id, host.disk.clone())
            };
            let known: BTreeMap<PeerId, Vec<String>> =
                random.sample(&addresses, REMEMBERED).into_iter().filter(|(other, _)| *other != peer).collect();
            let config = StoreConfig {
                reserve_bytes: Some(0),
                cache_bytes: 0,
                register_cache_bytes: 64 << 10,
                ..StoreConfig::new(peer, *peer.as_bytes())
            };
            let store: Arc<dyn shoal_ports::Store> = Arc::new(LocalStore::open(disk.mount(), config)?);
            store.note_put("layout", &note)?;
            store.note_put("addresses", &wire::encode(&known)?)?;
        }
        Ok(())
    }
}

/// Addresses of others that a peer of a formed mesh remembers.
const REMEMBERED: usize = 64;

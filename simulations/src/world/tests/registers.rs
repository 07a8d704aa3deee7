//! Registers that stand for nothing are forgotten, by everybody or by nobody.

use std::collections::BTreeMap;

use bytes::Bytes;
use shoal_register::sums::leaf_of;
use shoal_runtime::PutCondition;
use shoal_types::RegisterKey;

use super::asking::{GRACE, Mesh, SECOND, mesh_with, name};
use super::*;
use crate::host::Death;

/// Longer than it takes until a removal is forgotten by all whose turn it may be.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// Longer than it takes until all have compared with all.
const COMPARED: Duration = Duration::from_secs(11 * 60);

/// So many names.
const NAMES: u32 = 12;

/// Runs a test on so many peers; three of them keep each name.
fn mesh<F: Future<Output = ()>>(seed: u64, peers: usize, test: impl FnOnce(Mesh) -> F) {
    mesh_with(peers, |config| config.replicas = 2, seed, test);
}

impl Mesh {
    /// Puts all names, none of which may be there.
    async fn put_names(&self, host: u32, byte: u8) {
        self.put_names_if(PutCondition::IfAbsent, host, byte).await;
    }

    async fn put_names_if(&self, condition: PutCondition, host: u32, byte: u8) {
        for n in 0..NAMES {
            let bytes = Bytes::from(vec![byte; 100 + n as usize]);
            self.put_bytes(host, &format!("b/{n}"), bytes, condition.clone()).await.unwrap();
        }
    }

    async fn remove_names(&self, host: u32) {
        for n in 0..NAMES {
            self.remove(host, &format!("b/{n}")).await;
        }
    }

    /// Which names there are, as each peer says.
    async fn listed(&self) -> Vec<usize> {
        let mut listed = Vec::new();
        for (_, peer) in self.world.peers() {
            listed.push(self.ask(async move { peer.list("b/".into(), None, 1000).await }).await.unwrap().0.len());
        }
        listed
    }

    /// Registers of names on each disk.
    fn held(&self) -> Vec<usize> {
        let hosts = self.world.hosts();
        let state = self.world.state();
        hosts.into_iter().map(|host| state.ledger.registers.held(host)).collect()
    }

    /// Of those, how many are older than elsewhere.
    fn stale(&self) -> usize {
        let hosts = self.world.hosts();
        let state = self.world.state();
        hosts.into_iter().map(|host| state.ledger.registers.stale(host)).sum()
    }

    fn all_held(&self) -> usize {
        self.held().into_iter().sum()
    }
}

#[test]
fn a_removed_name_leaves_nothing_after_a_while_and_can_come_again() {
    mesh(1, 5, |mesh| async move {
        for byte in 1..4 {
            mesh.put_names(0, byte).await;
            assert_eq!(mesh.all_held(), 3 * NAMES as usize);
            mesh.remove_names(1).await;
            mesh.pass(GRACE * 3 / 4).await;
            assert_eq!(mesh.all_held(), 3 * NAMES as usize, "nothing is forgotten before the grace is over");
            mesh.pass(FORGOTTEN).await;
            assert_eq!((mesh.held(), mesh.listed().await), (vec![0; 5], vec![0; 5]));
        }
        mesh.put_names(2, 9).await;
        assert_eq!(mesh.listed().await, [NAMES as usize; 5]);
    });
}

#[test]
fn nothing_is_forgotten_while_a_member_is_away_and_all_of_it_once_it_is_back() {
    mesh(2, 5, |mesh| async move {
        mesh.put_names(0, 1).await;
        mesh.world.crash(HostId(4), Death::Kill);
        mesh.remove_names(1).await;
        mesh.pass(2 * GRACE).await;
        let held = mesh.held();
        assert!(held[..4].iter().sum::<usize>() >= 2 * NAMES as usize, "{held:?}");
        mesh.world.start(HostId(4));
        mesh.pass(3 * FORGOTTEN).await;
        assert_eq!((mesh.held(), mesh.listed().await), (vec![0; 5], vec![0; 5]));
    });
}

#[test]
fn whoever_comes_back_after_it_was_let_go_of_brings_nothing_back() {
    mesh(3, 6, |mesh| async move {
        mesh.put_names(0, 1).await;
        let before = mesh.held();
        assert!(before[5] > 0, "{before:?}");
        mesh.world.crash(HostId(5), Death::Power);
        mesh.pass(90 * SECOND).await;
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 5);
        // Of those that it knows some stay, some are removed and forgotten.
        mesh.remove_names(1).await;
        mesh.pass(2 * FORGOTTEN).await;
        assert_eq!(mesh.held()[..5], [0; 5]);
        assert_eq!(mesh.held()[5], before[5], "it still has them on its disk");
        mesh.world.start(HostId(5));
        mesh.pass(30 * SECOND).await;
        assert_eq!(mesh.peer(0).layout().unwrap().members.len(), 6);
        assert_eq!((mesh.held(), mesh.listed().await), (vec![0; 6], vec![0; 6]));
        mesh.put_names(5, 2).await;
        assert_eq!(mesh.listed().await, [NAMES as usize; 6]);
    });
}

#[test]
fn whoever_keeps_a_name_no_more_lets_go_of_it() {
    mesh(4, 8, |mesh| async move {
        mesh.put_names(0, 1).await;
        mesh.world.crash(HostId(7), Death::Power);
        mesh.pass(90 * SECOND).await;
        mesh.world.start(HostId(7));
        mesh.pass(COMPARED).await;
        assert_eq!(mesh.all_held(), 3 * NAMES as usize);
        assert_eq!(mesh.listed().await, [NAMES as usize; 8]);
    });
}

#[test]
fn whoever_was_away_learns_what_it_has_missed_though_nobody_asks() {
    mesh(5, 5, |mesh| async move {
        mesh.put_names(0, 1).await;
        mesh.world.crash(HostId(4), Death::Kill);
        // It is away for long, and not let go of yet.
        mesh.put_names_if(PutCondition::Always, 1, 2).await;
        mesh.pass(30 * SECOND).await;
        mesh.world.start(HostId(4));
        mesh.pass(10 * SECOND).await;
        assert!(mesh.stale() > 0);
        mesh.pass(COMPARED).await;
        assert_eq!((mesh.stale(), mesh.all_held()), (0, 3 * NAMES as usize));
        assert_eq!(mesh.listed().await, [NAMES as usize; 5]);
    });
}

/// Names whose registers are compared together, in their order.
fn names_together(count: usize) -> Vec<String> {
    let mut together: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for n in 100_000..400_000 {
        let object = format!("b/{n}");
        let names = together.entry(leaf_of(&RegisterKey::Object(name(&object)))).or_default();
        names.push(object);
        if names.len() == count {
            return std::mem::take(names);
        }
    }
    panic!("no leaf with {count} names");
}

/// Those in front, which were the same everywhere, counted as what differs, each
/// time anew: those behind were never mended.
#[test]
fn what_is_the_same_keeps_nothing_that_differs_from_being_mended() {
    let configure = |config: &mut WorldConfig| {
        config.replicas = 2;
        config.bounds.differing_registers = 2;
    };
    mesh_with(3, configure, 6, |mesh| async move {
        let names = names_together(8);
        let put = async |byte: u8, names: &[String]| {
            for object in names {
                mesh.put_bytes(0, object, vec![byte; 100].into(), PutCondition::Always).await.unwrap();
            }
        };
        put(1, &names).await;
        mesh.world.crash(HostId(2), Death::Kill);
        put(2, &names[5..]).await;
        mesh.pass(30 * SECOND).await;
        mesh.world.start(HostId(2));
        mesh.pass(10 * SECOND).await;
        assert_eq!(mesh.stale(), 3);
        mesh.pass(COMPARED).await;
        assert_eq!(mesh.stale(), 0);
    });
}

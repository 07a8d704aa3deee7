use shoal_types::Error;

use super::*;
use crate::faults::{Crash, DiskFull, DiskLost, DiskSlow, Rot, SyncFails, SyncLies};
use crate::host::Death;

/// Every object can be read at every peer, and is what was put.
async fn check_data(trial: &Trial) {
    let data = workload::data_objects(&scenario().workload);
    for host in 0..5 {
        for (name, bytes) in &data {
            assert_eq!(trial.get(host, name).await.0.as_ref(), Ok(bytes), "{name} at {host}");
        }
    }
}

#[test]
fn a_full_disk_says_so_and_takes_data_again_when_there_is_room() {
    trial(|trial| async move {
        trial.strike(DiskFull::default(), &[0, 1, 2, 3, 4], Some(10));
        let (put, _) = trial.put(0, "t/large", 40_000).await;
        assert!(matches!(put, Err(Error::DiskFull { .. })), "{put:?}");
        trial.seconds(15).await;
        assert_eq!(trial.put(0, "t/large", 40_000).await.0, Ok(()));
        check_data(&trial).await;
    });
}

#[test]
fn slow_disks_make_writes_slow() {
    trial(|trial| async move {
        let (_, before) = trial.put(0, "t/before", 4000).await;
        trial.strike(DiskSlow { times: 200.0 }, &[0, 1, 2, 3, 4], Some(20));
        let (_, during) = trial.put(0, "t/during", 4001).await;
        assert!(during > before * 10, "{before:?} {during:?}");
        trial.seconds(20).await;
        let (_, after) = trial.put(0, "t/after", 4002).await;
        assert!(after < before * 3, "{before:?} {after:?}");
    });
}

#[test]
fn a_failed_sync_ends_writing_until_the_peer_has_started_again() {
    trial(|trial| async move {
        let incarnations = trial.world.state().hosts[1].incarnations;
        trial.strike(SyncFails::default(), &[0, 1, 2, 3, 4], Some(10));
        let (put, _) = trial.put(1, "t/unwritten", 4000).await;
        assert!(
            matches!(put, Err(Error::DiskFailed { .. } | Error::NoQuorum { .. } | Error::Timeout { .. })),
            "{put:?}"
        );
        trial.seconds(30).await;
        assert!(trial.world.state().hosts[1].incarnations > incarnations);
        assert_eq!(trial.put(1, "t/unwritten", 4000).await.0, Ok(()));
        check_data(&trial).await;
    });
}

#[test]
fn a_rotten_copy_is_never_handed_out_and_is_mended_when_it_is_read() {
    trial(|trial| async move {
        let copies = trial.copies(2);
        trial.strike(Rot { chunks: 1_000 }, &[2], None);
        assert!(copies > 4 && trial.copies(2) == 0);
        check_data(&trial).await;
        trial.seconds(2).await;
        assert!(trial.copies(2) > copies / 2, "{} of {copies}", trial.copies(2));
    });
}

#[test]
fn a_lost_disk_comes_back_as_another_peer_and_is_filled_again() {
    trial(|trial| async move {
        let (copies, before) = (trial.copies(3), trial.id(3));
        trial.strike(DiskLost {}, &[3], Some(5));
        assert_eq!((trial.copies(3), trial.is_up(3)), (0, false));
        trial.seconds(45).await;
        assert!(trial.id(3) != before && trial.members(0).contains(&trial.id(3)));
        assert!(!trial.members(0).contains(&before));
        assert!(copies > 0 && trial.copies(3) > 0);
        check_data(&trial).await;
    });
}

#[test]
fn a_disk_that_lies_loses_what_it_said_it_had() {
    trial(|trial| async move {
        trial.strike(SyncLies {}, &[0, 1, 2, 3, 4], None);
        let (put, _) = trial.put(0, "t/believed", 20_000).await;
        assert_eq!(put, Ok(()));
        let durable = |trial: &Trial, host: usize| trial.world.state().hosts[host].disk.durable_files("chunks/").len();
        // What is really there is what was there before the lie.
        assert!((0..5).any(|host| durable(&trial, host as usize) < trial.copies(host)));
        trial.strike(Crash { by: Death::Power, within_changes: 0 }, &[0, 1, 2, 3, 4], Some(2));
        trial.seconds(5).await;
        assert!((0..5).all(|host| !trial.world.state().ledger.copies.is_reliable(HostId(host))));
    });
}

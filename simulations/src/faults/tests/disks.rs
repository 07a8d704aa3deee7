use std::collections::BTreeMap;

use futures::StreamExt;
use shoal_runtime::{Checkup, CheckupUpdate, CopyVersion};
use shoal_types::{ChunkId, DiskState, Error};

use super::*;
use crate::disk::chunk_at;
use crate::faults::{Crash, DiskFull, DiskLost, DiskSlow, Join, Latency, Rot, SyncFails, SyncLies};
use crate::host::Death;
use crate::network::Asked;

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
        // It lives in its name, which was told as one that too few peers keep.
        let (small, _) = trial.put(0, "t/small", 10).await;
        assert!(matches!(small, Err(Error::DiskFull { .. })), "{small:?}");
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

/// What a look at the whole mesh at `host` comes to.
async fn checkup(trial: &Trial, host: u32) -> Checkup {
    let peer = trial.peer(host);
    let (found, _) = trial
        .ask(async move {
            let mut updates = peer.checkup(false);
            while let Some(update) = updates.next().await {
                if let CheckupUpdate::Report(report) = update.unwrap() {
                    return *report;
                }
            }
            panic!("it ends without a report")
        })
        .await;
    found
}

fn disk_of(checkup: &Checkup, id: PeerId) -> DiskState {
    let member = checkup.members.iter().find(|member| member.id == id).unwrap();
    member.condition.as_ref().unwrap().disk.clone()
}

#[test]
fn a_look_at_the_mesh_tells_a_disk_that_failed_and_one_that_is_full() {
    trial(|trial| async move {
        let well = checkup(&trial, 0).await;
        assert!(well.is_full() && well.chunks > 0 && well.copies == 3 * well.chunks, "{well:?}");
        trial.strike(SyncFails::default(), &[1], None);
        trial.strike(DiskFull::default(), &[2], None);
        for n in 0..8 {
            let _ = trial.put(0, &format!("t/{n}"), 20_000 + n).await;
        }
        let ill = checkup(&trial, 4).await;
        assert!(matches!(disk_of(&ill, trial.id(1)), DiskState::Failed { .. }), "{ill:?}");
        assert!(matches!(disk_of(&ill, trial.id(2)), DiskState::FullForNames { .. }), "{ill:?}");
        assert_eq!(disk_of(&ill, trial.id(3)), DiskState::Fine);
        assert!(!ill.is_full(), "what belongs to a failed disk cannot be put there");
    });
}

#[test]
fn a_member_whose_disk_is_full_keeps_no_other_from_being_repaired() {
    trial(|trial| async move {
        // Less than a chunk needs, and room for the layouts that come.
        let free = Nominal(3_000 * trial.world.config().bytes_scale.max(1));
        trial.strike(DiskFull { free }, &[1], None);
        let held = trial.copies(4);
        trial.strike(Crash { by: Death::Kill, within_changes: 0 }, &[4], None);
        // Some are to go to the full one, in the place of the dead one.
        trial.seconds(60).await;
        let after = checkup(&trial, 0).await;
        assert!(held > 0 && matches!(disk_of(&after, trial.id(1)), DiskState::Full { .. }), "{after:?}");
        assert!(after.copies_missing > 0 && !after.is_full(), "{after:?}");
        for member in after.members.iter().filter(|member| member.id != trial.id(1)) {
            assert_eq!(member.copies_missing, 0, "{}: {after:?}", member.name);
        }
    });
}

/// Once nobody repaired anything: the first question that it did not answer
/// ended the pass of each.
#[test]
fn a_member_whose_disk_hangs_keeps_no_other_from_being_repaired() {
    trial(|trial| async move {
        // Whatever it does next takes it for ever.
        trial.strike(DiskSlow { times: 1_000_000.0 }, &[1], None);
        let held = trial.copies(4);
        trial.strike(Crash { by: Death::Kill, within_changes: 0 }, &[4], None);
        trial.seconds(40).await;
        assert!(held > 0 && trial.holds_alive(0, 1));
        let after = checkup(&trial, 0).await;
        for member in after.members.iter().filter(|member| member.id != trial.id(1)) {
            assert_eq!(member.copies_missing, 0, "{}: {after:?}", member.name);
        }
    });
}

/// Puts objects of so many bytes, one after the other; how long each took.
async fn put_some(trial: &Trial, bytes: std::ops::Range<usize>) -> Vec<Duration> {
    let mut took = Vec::new();
    for bytes in bytes {
        let (put, lasted) = trial.put(0, &format!("t/{bytes}"), bytes).await;
        assert_eq!(put, Ok(()), "{bytes}");
        took.push(lasted);
    }
    took
}

/// How many copies there are of each chunk.
fn copies_of_each(trial: &Trial) -> Vec<usize> {
    let mut copies: BTreeMap<ChunkId, usize> = BTreeMap::new();
    for host in &trial.world.state().hosts {
        for (chunk, _) in host.disk.durable_files("chunks/").iter().filter_map(|file| chunk_at(file)) {
            *copies.entry(chunk).or_default() += 1;
        }
    }
    copies.into_values().collect()
}

/// Once each chunk waited three minutes for it.
#[test]
fn a_member_whose_disk_hangs_holds_up_one_put_for_seconds_and_then_none() {
    trial(|trial| async move {
        trial.strike(DiskSlow { times: 1_000_000.0 }, &[1], None);
        let took = put_some(&trial, 20_000..20_012).await;
        let held_up = took.iter().filter(|took| **took > ms(1_000)).count();
        assert!(held_up == 1 && took.iter().all(|took| *took < ms(15_000)), "{took:?}");
        assert!(trial.holds_alive(0, 1));
        let peer = trial.peer(0);
        let notices = trial.ask(async move { peer.status().await }).await.0.unwrap().notices;
        assert!(notices[0].starts_with("peer-1 does not acknowledge"), "{notices:?}");
        // Others have taken its copies: these are not fewer.
        assert!(copies_of_each(&trial).iter().all(|copies| *copies >= 3));
        // It is tried now and then, and nobody waits for that.
        trial.seconds(90).await;
        let took = put_some(&trial, 20_100..20_112).await;
        assert!(took.iter().all(|took| *took < ms(1_000)), "{took:?}");
        // Who has its copies is asked for them by a copy, which is a claim, and brought none.
        trial.world.state().network.calls.asked = Some(Asked::default());
        for bytes in 20_000..20_006 {
            let [from, to] = ["t", "u"].map(|bucket| ObjectName::new(format!("{bucket}/{bytes}")).unwrap());
            let peer = trial.peer(0);
            let copied = async move { peer.copy(from, to, CopyVersion::Now, PutCondition::Always).await };
            let (copied, took) = trial.ask(copied).await;
            assert!(copied.is_ok() && took < ms(5_000), "{copied:?} after {took:?}");
        }
        assert_eq!(trial.world.state().network.calls.asked.take().map(|asked| asked.put), Some(0));
    });
}

/// There nobody can stand in for it.
#[test]
fn of_three_members_two_keep_what_is_put_once_the_disk_of_the_third_has_hung_for_a_minute() {
    trial_of(Scenario { peers: 3, ..scenario() }, |trial| async move {
        trial.strike(DiskSlow { times: 1_000_000.0 }, &[1], None);
        let took = put_some(&trial, 20_000..20_006).await;
        assert!(took[0] > ms(30_000) && took[0] < ms(70_000), "{took:?}");
        assert!(took[1..].iter().all(|took| *took < ms(1_000)), "{took:?}");
        assert!(copies_of_each(&trial).iter().all(|copies| *copies >= 2));
    });
}

#[test]
fn a_disk_that_hung_is_given_what_it_has_missed_and_what_is_put_from_then_on() {
    trial(|trial| async move {
        trial.strike(DiskSlow { times: 500.0 }, &[1], Some(60));
        let took = put_some(&trial, 20_000..20_012).await;
        assert!(took.iter().any(|took| *took > ms(9_000)), "{took:?}");
        trial.seconds(240).await;
        let after = checkup(&trial, 0).await;
        assert!(after.is_full(), "{after:?}");
        assert!(copies_of_each(&trial).iter().all(|copies| *copies == 3), "who stood in has let go");
        let held = trial.copies(1);
        put_some(&trial, 20_100..20_112).await;
        assert!(trial.copies(1) > held + 3);
        assert!(copies_of_each(&trial).iter().all(|copies| *copies == 3), "nobody stands in");
        check_data(&trial).await;
    });
}

#[test]
fn nobody_stands_in_for_a_slow_disk_behind_a_long_line() {
    trial(|trial| async move {
        trial.strike(DiskSlow { times: 15.0 }, &[1], None);
        trial.strike(Latency::default(), &[1], None);
        let took = put_some(&trial, 20_000..20_012).await;
        assert!(took.iter().any(|took| *took > ms(1_000)), "{took:?}");
        assert!(copies_of_each(&trial).iter().all(|copies| *copies == 3), "{took:?}");
    });
}

/// Once every holder sent it all that it lacked, whole, again in each pass.
#[test]
fn a_full_disk_is_sent_little_by_each_holder_and_all_that_it_lacks_once_there_is_room() {
    trial(|trial| async move {
        let free = Nominal(3_000 * trial.world.config().bytes_scale.max(1));
        let (objects, seconds) = (40, 120);
        trial.strike(DiskFull { free }, &[1], Some(seconds + 60));
        for n in 0..objects {
            assert_eq!(trial.put(0, &format!("t/{n}"), 20_000 + n).await.0, Ok(()));
        }
        trial.world.state().network.calls.asked = Some(Asked::default());
        trial.seconds(seconds).await;
        let asked = trial.world.state().network.calls.asked.take().unwrap();
        // Two are on their way at once; and one that is smaller may find room.
        let (passes, holders) = (seconds as usize / 5, 4);
        assert!((1..passes * holders * 8).contains(&asked.brought), "{asked:?}");
        trial.seconds(120).await;
        let after = checkup(&trial, 0).await;
        assert!(after.is_full(), "{after:?}");
        assert!(trial.copies(1) > objects / 2);
    });
}

/// Once the copies were counted as missing that others have in its place.
#[test]
fn who_has_what_a_full_disk_did_not_take_counts_for_it() {
    trial(|trial| async move {
        let free = Nominal(3_000 * trial.world.config().bytes_scale.max(1));
        trial.strike(DiskFull { free }, &[1], None);
        for n in 0..20 {
            assert_eq!(trial.put(0, &format!("t/{n}"), 20_000 + n).await.0, Ok(()));
        }
        let found = checkup(&trial, 4).await;
        assert_ne!(disk_of(&found, trial.id(1)), DiskState::Fine, "{found:?}");
        assert_eq!((found.copies_missing, found.copies), (0, 3 * found.chunks), "{found:?}");
    });
}

/// Once the layout stayed as it was for ever: what the full disk was to take
/// was not there, and whoever could have taken it was not taken in.
#[test]
fn a_newcomer_helps_out_where_a_disk_has_no_room_for_its_share_of_a_dead_one() {
    let late = Scenario { peers: 6, latecomers: 1, ..scenario() };
    trial_of(late, |trial| async move {
        let free = Nominal(3_000 * trial.world.config().bytes_scale.max(1));
        trial.strike(DiskFull { free }, &[1], None);
        trial.strike(Crash { by: Death::Kill, within_changes: 0 }, &[4], None);
        trial.seconds(60).await;
        assert!(trial.peer(0).layout().unwrap().is_joint(), "the full one does not take its share");
        trial.strike(Join { within: Span(ms(1)) }, &[5], None);
        trial.seconds(60).await;
        assert!(trial.members(0).contains(&trial.id(5)) && !trial.members(0).contains(&trial.id(4)));
        assert!(trial.copies(5) > 0);
    });
}

#[test]
fn a_scrub_finds_all_that_has_rotted_at_once_and_health_tells_of_it() {
    trial(|trial| async move {
        let copies = trial.copies(2) as u64;
        trial.strike(Rot { chunks: 3 }, &[2], None);
        let (asked, victim) = (trial.peer(0), trial.id(2));
        let (last, _) = trial.ask(async move { asked.scrub(vec![victim], u64::MAX).collect::<Vec<_>>().await }).await;
        let done = last.last().unwrap().outcome.clone().unwrap();
        assert_eq!((done.copies, done.bad, done.mended, done.is_done), (copies, 3, 3, true));
        let after = checkup(&trial, 1).await;
        let member = after.members.iter().find(|member| member.id == victim).unwrap();
        let condition = member.condition.as_ref().unwrap();
        assert_eq!((condition.bad_copies, condition.last_scrub.map(|last| last.bad)), (3, Some(3)));
        assert!(after.is_full(), "{after:?}");
        check_data(&trial).await;
    });
}

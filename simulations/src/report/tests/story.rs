//! Runs that never were: ten peers of which one dies and a rack is cut off, and
//! a mesh of any size.

use std::time::Duration;

use crate::Random;
use crate::report::{
    FaultMark, HostSpan, HostState, JobLine, OperationStats, PeerLoad, Report, Sample, TaskEnd, TaskSpan, Violation,
};

pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

/// 90 s, ten peers in three zones. Peer 3 is dead from 20 to 45 s, zone-c
/// (peers 8 to 10) cut off from 55 to 62 s, peer 5 paused from 30 to 33 s.
pub(super) fn ten_peers() -> Report {
    let mut report = Report {
        scenario: "rack-cut".to_owned(),
        seed: 42,
        peers: 10,
        trace: "9f3ac1d0".repeat(8),
        events: 482_113,
        simulated: seconds(90.0),
        wall: seconds(1.8),
        healed_after: Some(seconds(9.0)),
        ..Report::default()
    };
    for n in 1..=10u32 {
        let peer = format!("peer-{n}");
        let busy = seconds(10.0 + f64::from(n * 7 % 10));
        let zone = ["zone-a", "zone-b", "zone-c"][(n as usize * 3 - 1) / 11];
        let lasting =
            |from: f64, to: f64, state| HostSpan { peer: peer.clone(), from: seconds(from), to: seconds(to), state };
        let ill = match n {
            3 => Some((20.0, 45.0, HostState::Down)),
            5 => Some((30.0, 33.0, HostState::Paused)),
            8.. => Some((55.0, 62.0, HostState::Cut)),
            _ => None,
        };
        match ill {
            Some((from, to, state)) => report.hosts.extend([
                lasting(0.0, from, HostState::Up),
                lasting(from, to, state),
                lasting(to, 90.0, HostState::Up),
            ]),
            None => report.hosts.push(lasting(0.0, 90.0, HostState::Up)),
        }
        report.loads.push(PeerLoad {
            zone: zone.to_owned(),
            up: if n == 3 { seconds(65.0) } else { seconds(90.0) },
            tasks: u64::from(20 + n),
            busy,
            sent_bytes: u64::from(n) << 20,
            received_bytes: u64::from(11 - n) << 20,
            disk_written_bytes: 48 << 20,
            chunks: 120,
            peer,
        });
    }
    report.faults = vec![
        FaultMark { at: seconds(20.0), until: Some(seconds(45.0)), what: "crash peer-3".to_owned() },
        FaultMark { at: seconds(30.0), until: Some(seconds(33.0)), what: "pause peer-5".to_owned() },
        FaultMark { at: seconds(55.0), until: Some(seconds(62.0)), what: "cut off zone-c".to_owned() },
    ];
    let job = |job: &str, title: &str, submitted, makespan, tasks, reruns| JobLine {
        job: job.to_owned(),
        title: title.to_owned(),
        submitted: seconds(submitted),
        makespan: Some(seconds(makespan)),
        tasks,
        reruns,
        state: "succeeded".to_owned(),
        right: Some(true),
    };
    report.jobs = vec![
        job("job-1", "word count of 2 GiB", 5.0, 23.5, 96, 4),
        job("job-2", "join orders & customers", 12.0, 41.0, 160, 7),
        job("job-3", "top ten pages", 50.0, 24.0, 48, 3),
    ];
    report.tasks = tasks(&report);
    report.samples = (0..=90).map(|second| sample(&report, second)).collect();
    let stats = |ok, failed, unknown, p50, p99| OperationStats {
        ok,
        failed,
        unknown,
        p50: Some(seconds(p50)),
        p99: Some(seconds(p99)),
    };
    report.operations.insert("put".to_owned(), stats(812, 3, 1, 0.012, 0.240));
    report.operations.insert("get".to_owned(), stats(2_304, 0, 0, 0.0031, 0.051));
    report.operations.insert("sql".to_owned(), stats(3, 0, 0, 24.0, 41.0));
    for (invariant, times) in [("acknowledged chunks have R copies", 813), ("names are linearizable", 90)] {
        report.checks.insert(invariant.to_owned(), times);
    }
    report
}

/// What peer 3 worked at is lost when it dies; everything else gets done.
fn tasks(report: &Report) -> Vec<TaskSpan> {
    let mut random = Random::from_seed(7);
    let mut tasks = Vec::new();
    for job in &report.jobs {
        let end = job.submitted + job.makespan.unwrap_or_default();
        for n in 1..=10u32 {
            for lane in 0..2 {
                let mut at = job.submitted + Duration::from_millis(random.below(900));
                while at < end {
                    let mut to = (at + Duration::from_millis(1_200 + random.below(3_500))).min(end);
                    let away = match n {
                        3 => seconds(20.0)..seconds(45.0),
                        8.. => seconds(55.0)..seconds(62.0),
                        _ => Duration::ZERO..Duration::ZERO,
                    };
                    let mut ended = if random.below(60) == 0 { TaskEnd::Cancelled } else { TaskEnd::Done };
                    if at < away.start && to >= away.start {
                        (to, ended) = (away.start, TaskEnd::Lost);
                    }
                    if !away.contains(&at) {
                        tasks.push(TaskSpan {
                            peer: format!("peer-{n}"),
                            job: job.job.clone(),
                            task: format!("0.{lane}.{}", tasks.len()),
                            from: at,
                            to,
                            ended,
                        });
                    }
                    at = to.max(if away.contains(&to) { away.end } else { to });
                    at += Duration::from_millis(40 + random.below(400));
                }
            }
        }
    }
    tasks
}

fn sample(report: &Report, second: u32) -> Sample {
    let at = Duration::from_secs(second.into());
    let running = report.tasks.iter().filter(|task| task.from <= at && at < task.to).count();
    let ended = |end| report.tasks.iter().filter(|task| task.to <= at && task.ended == end).count() as u64;
    let dead = (20..45).contains(&second);
    let cut = (55..62).contains(&second);
    let under = match second {
        20..36 => 420 - u64::from(second - 20) * 26,
        55..62 => 900,
        62..71 => 900 - u64::from(second - 61) * 100,
        _ => 0,
    };
    let joint = (24..36).contains(&second) || (46..52).contains(&second);
    let version = [0, 24, 36, 46, 52].into_iter().filter(|from| second >= *from).count() as u64;
    Sample {
        at,
        hosts_up: 10 - u32::from(dead) - u32::from((30..33).contains(&second)),
        hosts_paused: u32::from((30..33).contains(&second)),
        members_alive_min: match second {
            0..3 => second * 4 + 1,
            57..64 => 3,
            23..47 => 9,
            _ => 10,
        },
        members_alive_max: if (22..46).contains(&second) { 9 } else { (second * 5 + 2).min(10) },
        layout_version: version,
        layout_joint: joint,
        chunks: 1_200,
        chunks_under_replicated: under,
        chunks_without_copy: if cut { 14 } else { 0 },
        tasks_running: running as u32,
        tasks_done: ended(TaskEnd::Done),
        tasks_rerun: if second < 22 { 0 } else { ended(TaskEnd::Lost) },
        jobs_running: 0,
        bytes_sent: u64::from(second) * 900_000
            + report.tasks.iter().filter(|task| task.to <= at).count() as u64 * 3_000_000
            + u64::from(second.clamp(20, 36) - 20) * 9_000_000,
        operations_ok: u64::from(second) * 34,
        operations_failed: 0,
    }
}

/// The same with a promise broken.
pub(super) fn a_lost_chunk() -> Report {
    let mut report = ten_peers();
    report.violations.push(Violation {
        invariant: "no acknowledged chunk is lost".to_owned(),
        at: seconds(61.25),
        what: "chunk 5e1f…09 was acknowledged at 52.114 s with three copies, and no host has it: \
               peer-8, peer-9 and peer-10 answered the put before their disks had synced"
            .to_owned(),
        peers: ["peer-8", "peer-9", "peer-10"].map(str::to_owned).to_vec(),
        last_events: (0..200).map(|n| format!("{:.3} s peer-8 event {n}", 61.0 + f64::from(n) / 1000.0)).collect(),
        replay: "shoal sim run rack-cut --seed 42 --peers 10 --faults 'crash peer-3@20..45,pause peer-5@30..33,\
                 cut zone-c@55..62' --until 61.25"
            .to_owned(),
    });
    report
}

/// `hosts` in `zones`, `samples` seconds of churn.
pub(super) fn churn(hosts: u32, zones: u32, samples: u32) -> Report {
    let mut random = Random::from_seed(3);
    let mut report = Report {
        scenario: "churn".to_owned(),
        seed: 3,
        peers: hosts,
        simulated: Duration::from_secs(samples.into()),
        wall: Duration::from_secs(30),
        ..Report::default()
    };
    let end = report.simulated;
    let mut down = vec![0u32; samples as usize];
    for n in 0..hosts {
        let peer = format!("peer-{n}");
        let mut at = Duration::ZERO;
        while at < end {
            let fails = (at + Duration::from_millis(random.below(u64::from(samples) * 4_000))).min(end);
            let back = (fails + Duration::from_millis(5_000 + random.below(40_000))).min(end);
            report.hosts.push(HostSpan { peer: peer.clone(), from: at, to: fails, state: HostState::Up });
            if fails < end {
                report.hosts.push(HostSpan { peer: peer.clone(), from: fails, to: back, state: HostState::Down });
                report.faults.push(FaultMark { at: fails, until: Some(back), what: format!("crash {peer}") });
            }
            for second in fails.as_secs()..back.as_secs() {
                down[second as usize] += 1;
            }
            at = back;
        }
        report.loads.push(PeerLoad {
            peer,
            zone: format!("zone-{}", n % zones),
            busy: Duration::from_millis(random.below(1_000_000)),
            tasks: random.below(500),
            ..PeerLoad::default()
        });
    }
    let (mut sent, mut done, mut again) = (0, 0, 0);
    for (second, down) in down.into_iter().enumerate() {
        let running = random.below(u64::from(hosts) / 2) as u32 + hosts / 2;
        sent += random.below(1 << 30);
        done += u64::from(running) / 2;
        again += random.below(u64::from(down) + 1);
        report.samples.push(Sample {
            at: Duration::from_secs(second as u64),
            hosts_up: hosts - down,
            members_alive_min: hosts - down - random.below(9) as u32,
            members_alive_max: hosts - down.saturating_sub(random.below(9) as u32),
            layout_version: second as u64 / 20,
            layout_joint: second / 10 % 2 == 1,
            chunks: 100_000,
            chunks_under_replicated: random.below(u64::from(down) * 30 + 1),
            chunks_without_copy: random.below(3),
            tasks_running: running,
            tasks_done: done,
            tasks_rerun: again,
            bytes_sent: sent,
            ..Sample::default()
        });
    }
    report.faults.sort_by_key(|fault| fault.at);
    report
}

mod story;

use std::collections::BTreeMap;
use std::time::Duration;

use roxmltree::{Document, Node};
use serde_json::{Value, json};

use self::story::{a_lost_chunk, churn, seconds, ten_peers};
use super::*;

/// The figures of the report's only line that starts with `name`.
fn figure(table: &str, name: &str) -> String {
    let lines: Vec<&str> = table.lines().filter_map(|line| line.trim_start().strip_prefix(name)).collect();
    assert_eq!(lines.len(), 1, "one line '{name}' in\n{table}");
    lines[0].split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A viewer's view of the picture.
fn drawn<T>(report: &Report, look: impl Fn(&Document<'_>) -> T) -> T {
    let svg = report.plot();
    assert!(svg.len() < 1_000_000, "{} bytes", svg.len());
    look(&Document::parse(&svg).unwrap())
}

fn texts(document: &Document<'_>) -> Vec<String> {
    let is_text = |node: &Node<'_, '_>| node.has_tag_name("text") || node.has_tag_name("title");
    document.descendants().filter(is_text).filter_map(|node| Some(node.text()?.to_owned())).collect()
}

fn groups(document: &Document<'_>, class: &str) -> usize {
    document.descendants().filter(|node| node.attribute("class") == Some(class)).count()
}

#[test]
fn a_good_run_says_so_first_and_gives_the_figures_that_follow_from_its_samples() {
    let table = ten_peers().to_table();
    assert_eq!(table.lines().next(), Some("no violation (2 invariants, 903 checks)"));
    // From 5 s (job-1 starts) to 74 s (job-3 ends).
    assert_eq!(figure(&table, "makespan of all jobs"), "69.0 s");
    // 16 samples after the crash, 7 while cut off, 8 while it heals (the ninth is zero).
    assert_eq!(figure(&table, "under-replicated"), "31.0 s, at most 900 chunks, 13,500 chunk-seconds");
    assert_eq!(figure(&table, "without a live copy"), "7.0 s, at most 14 chunks");
    assert_eq!(figure(&table, "whole again"), "9.0 s after the last of 3 faults");
    assert_eq!(figure(&table, "job-2"), "join orders & customers 12.0 s 41.0 s 160 7 succeeded right");
    assert_eq!(figure(&table, "get"), "2,304 0 0 3 ms 51 ms");
    assert_eq!(figure(&table, "median"), "90.0 s 26 15.0 s 6.0 MiB 6.0 MiB 48.0 MiB 120");
    assert_eq!(figure(&table, "speed"), "50.0 simulated seconds and 267,841 events a second");
    assert_eq!(figure(&table, "seed"), "42");
    assert_eq!(figure(&table, "trace"), "9f3ac1d0".repeat(8));
}

#[test]
fn a_violation_is_told_in_full_and_its_replay_is_one_whole_line() {
    let report = a_lost_chunk();
    let table = report.to_table();
    assert!(table.starts_with("1 violation "), "{table}");
    assert!(table.contains("VIOLATION of no acknowledged chunk is lost at 61.250 s"), "{table}");
    assert!(table.contains("peers: peer-8, peer-9, peer-10"), "{table}");
    assert!(table.contains("peer-8 event 199"), "{table}");
    assert!(!table.contains("peer-8 event 179\n"), "the last events are few\n{table}");
    assert!(report.violations[0].replay.len() > 100);
    assert_eq!(table.lines().filter(|line| *line == report.violations[0].replay).count(), 1, "{table}");
}

#[test]
fn a_wrong_answer_is_no_good_run_even_if_no_invariant_noticed() {
    let mut report = ten_peers();
    assert!(report.holds());
    report.jobs[1].right = Some(false);
    assert!(!report.holds());
    assert!(report.to_table().starts_with("no violation, 1 wrong answer "));
    assert_eq!(report.json_lines().last().unwrap()["wrong_answers"], 1);
}

#[test]
fn no_line_but_a_command_is_wider_than_100_columns() {
    let mut report = a_lost_chunk();
    let long = "a name\nof många tecken ".repeat(30);
    report.jobs[0].title = long.clone();
    report.jobs[1].state = long.clone();
    report.loads[2].peer = long.clone();
    report.loads[2].zone = long.clone();
    report.faults[0].what = long.clone();
    report.violations[0].what = long.clone();
    report.violations[0].last_events.push(long.clone());
    report.operations.insert(long.clone(), OperationStats::default());
    report.scenario = long;
    let table = report.to_table();
    let wide: Vec<&str> = table.lines().filter(|line| line.chars().count() > 100).collect();
    assert_eq!(wide, [report.violations[0].replay.as_str()], "{table}");
}

#[test]
fn the_timeline_tells_the_story_in_order() {
    let told: Vec<String> = ten_peers().timeline(100).moments.into_iter().map(|moment| moment.what).collect();
    assert_eq!(
        told,
        [
            "job-1 submitted: word count of 2 GiB",
            "job-2 submitted: join orders & customers",
            "crash peer-3",
            "layout 2 (joint), 9 peers seen alive",
            "job-1 succeeded after 23.5 s",
            "pause peer-5",
            "over: pause peer-5",
            "layout 3 (settled), 9 peers seen alive",
            "over: crash peer-3",
            "layout 4 (joint), 9 to 10 peers seen alive",
            "job-3 submitted: top ten pages",
            "layout 5 (settled), 10 peers seen alive",
            "job-2 succeeded after 41.0 s",
            "cut off zone-c",
            "over: cut off zone-c",
            "whole again, 9.0 s after the last fault",
            "job-3 succeeded after 24.0 s",
        ]
    );
}

#[test]
fn a_crowded_timeline_keeps_violations_and_jobs_and_says_what_it_left_out() {
    let mut report = churn(500, 3, 300);
    report.violations = a_lost_chunk().violations;
    report.jobs = ten_peers().jobs;
    let timeline = report.timeline(40);
    assert_eq!(timeline.moments.len(), 40);
    assert_eq!(timeline.left_out, report.timeline(usize::MAX).moments.len() - 40);
    assert!(timeline.moments.iter().any(|moment| moment.what.starts_with("VIOLATION")));
    assert_eq!(timeline.moments.iter().filter(|moment| moment.what.starts_with("job-")).count(), 6);
    assert!(timeline.moments.is_sorted_by_key(|moment| moment.at));
}

#[test]
fn a_thousand_peers_have_no_row_each() {
    let table = churn(1_000, 4, 60).to_table();
    assert!(table.lines().count() < 90, "{table}");
    assert!(table.contains("load of 1,000 peers"), "{table}");
}

#[test]
fn the_last_json_line_is_the_verdict() {
    let report = a_lost_chunk();
    let lines: Vec<Value> = report.json_lines().map(|line| serde_json::from_str(&line.to_string()).unwrap()).collect();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &lines {
        *kinds.entry(line["kind"].as_str().unwrap()).or_default() += 1;
    }
    let tasks = report.tasks.len();
    let wanted = [("fault", 3), ("host", 20), ("job", 3), ("operation", 3), ("peer", 10), ("sample", 91)];
    assert_eq!(kinds, wanted.into_iter().chain([("task", tasks), ("verdict", 1)]).collect());

    let verdict = lines.last().unwrap();
    assert_eq!(verdict["kind"], "verdict");
    assert_eq!(verdict["holds"], false);
    assert_eq!(verdict["seed"], 42);
    assert_eq!(verdict["trace"], "9f3ac1d0".repeat(8));
    assert_eq!(verdict["simulated_seconds"], 90.0);
    assert_eq!(verdict["wall_seconds"], 1.8);
    assert_eq!(verdict["makespan_seconds"], 69.0);
    assert_eq!(verdict["under_replicated_seconds"], 31.0);
    assert_eq!(verdict["under_replicated_chunk_seconds"], 13_500.0);
    let violations = verdict["violations"].as_array().unwrap();
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0]["invariant"], "no acknowledged chunk is lost");
    assert_eq!(violations[0]["at_seconds"], 61.25);
    assert_eq!(violations[0]["replay"], report.violations[0].replay);
    assert_eq!(violations[0]["last_events"].as_array().unwrap().len(), 200);
}

#[test]
fn without_violations_their_list_is_empty_and_not_missing() {
    let report = Report { healed_after: None, ..ten_peers() };
    let verdict = report.json_lines().last().unwrap();
    assert_eq!((&verdict["violations"], &verdict["holds"]), (&json!([]), &json!(true)));
    assert_eq!(verdict.get("healed_after_seconds"), Some(&Value::Null));
}

#[test]
fn a_job_that_has_not_ended_leaves_the_makespan_open() {
    let mut report = ten_peers();
    assert_eq!(report.makespan(), Some(seconds(69.0)));
    report.jobs[0].makespan = None;
    assert_eq!(report.makespan(), None);
    assert_eq!(Report::default().makespan(), None);
}

#[test]
fn a_report_survives_json() {
    let report = a_lost_chunk();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
}

#[test]
fn ten_hosts_have_ten_strips_and_every_panel_is_there() {
    drawn(&ten_peers(), |document| {
        assert_eq!(groups(document, "host"), 10);
        assert_eq!(groups(document, "panel"), 7);
        let texts = texts(document);
        for wanted in ["rack-cut", "no violation", "crash peer-3", "cut off zone-c", "peer-10", "zone-c", "90 s"] {
            assert!(texts.iter().any(|text| text == wanted), "'{wanted}' in {texts:?}");
        }
    });
}

#[test]
fn the_strip_of_a_host_is_dark_where_it_was_down_and_nowhere_else() {
    drawn(&ten_peers(), |document| {
        let dark = |peer: &str| -> Vec<String> {
            let mut strips = document.descendants().filter(|node| node.attribute("class") == Some("host"));
            let strip = strips.find(|node| node.descendants().any(|n| n.text() == Some(peer))).unwrap();
            let down = strip.descendants().filter(|node| node.attribute("stroke") == Some("#2f363c"));
            down.filter_map(|path| Some(path.attribute("d")?.to_owned())).collect()
        };
        assert_eq!(dark("peer-4, zone-b"), [""; 0]);
        let [path] = &dark("peer-3, zone-a")[..] else { panic!("one path") };
        // 20 s and 25 s of 90 s on 1,044 pixels, right of a margin of 132.
        let (start, length) = path[1..].split_once('h').unwrap();
        let start: f64 = start.split(' ').next().unwrap().parse().unwrap();
        assert!((start - 364.0).abs() < 1.5 && (length.parse::<f64>().unwrap() - 290.0).abs() < 2.5, "{path}");
    });
}

#[test]
fn names_from_outside_are_escaped() {
    let evil = "<b>&\"'\u{0}\u{1b}\u{ffff}]]>";
    let mut report = a_lost_chunk();
    report.scenario = evil.to_owned();
    report.trace = evil.to_owned();
    report.faults[0].what = evil.to_owned();
    report.jobs[0].title = evil.to_owned();
    report.tasks[0].task = evil.to_owned();
    report.violations[0].invariant = evil.to_owned();
    for span in &mut report.hosts {
        span.peer.push_str(evil);
    }
    for load in &mut report.loads {
        load.zone.push_str(evil);
    }
    drawn(&report, |document| {
        assert!(texts(document).iter().any(|text| text == "<b>&\"'  \u{fffd}]]>"));
        assert!(!document.descendants().any(|node| node.has_tag_name("b")));
    });
}

#[test]
fn three_thousand_hosts_fit_a_bounded_picture() {
    for zones in [1, 5, 3_000] {
        drawn(&churn(3_000, zones, 600), |document| {
            assert_eq!(groups(document, "host"), 0);
            assert_eq!(groups(document, "panel"), 5, "no jobs, no tasks by peer");
            let height: f64 = document.root_element().attribute("height").unwrap().parse().unwrap();
            assert!(height < 1_400.0, "{height}");
        });
    }
}

#[test]
fn no_amount_of_samples_tasks_or_restarts_makes_the_picture_grow() {
    let mut report = ten_peers();
    report.samples = churn(10, 1, 50_000).samples;
    report.hosts.clear();
    report.tasks.clear();
    for n in 0..20_000u32 {
        let (peer, at) = (format!("peer-{}", n % 40), Duration::from_millis(u64::from(n) * 4));
        let to = at + Duration::from_millis(150);
        let state = [HostState::Up, HostState::Down, HostState::Cut][n as usize % 3];
        report.hosts.push(HostSpan { peer: peer.clone(), from: at, to, state });
        let ended = [TaskEnd::Done, TaskEnd::Lost, TaskEnd::Failed][n as usize % 3];
        let job = format!("job-{}", n % 17);
        report.tasks.push(TaskSpan { peer, job, task: n.to_string(), from: at, to, ended });
        report.faults.push(FaultMark { at, until: Some(to), what: format!("fault {n}") });
    }
    drawn(&report, |document| assert_eq!(groups(document, "host"), 40));
}

#[test]
fn a_run_of_nothing_has_a_report_too() {
    let empty = Report::default();
    assert!(empty.to_table().starts_with("no violation (nothing was checked)"));
    assert_eq!(empty.json_lines().count(), 1);
    assert_eq!(drawn(&empty, |document| groups(document, "panel")), 0);
    let report = Report { samples: vec![Sample::default()], ..Report::default() };
    drawn(&report, |document| assert_eq!(groups(document, "panel"), 1));
}

#[test]
fn the_picture_of_a_seed_does_not_depend_on_the_machine() {
    let (here, there) = (ten_peers(), Report { wall: seconds(77.0), ..ten_peers() });
    assert_eq!(here.plot(), there.plot());
}

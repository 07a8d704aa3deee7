//! The report as people read it.

use std::fmt;
use std::time::Duration;

use super::figures::Spread;
use super::grid::{Grid, Lean};
use super::units::{bytes, count, counted, shortened, time};
use super::{PeerLoad, Report, Violation};

/// No line is wider, but for the commands that one copies.
const WIDTH: usize = 100;
/// Violations told in full; the others are in the JSON.
const VIOLATIONS_MAX: usize = 8;
/// Events shown before a violation.
const EVENTS_MAX: usize = 20;
/// Peers named in a violation.
const PEERS_MAX: usize = 12;
/// Jobs with a row of their own.
const JOBS_MAX: usize = 20;
/// Busiest peers with a row of their own.
const BUSIEST_MAX: usize = 5;
/// Moments in the timeline.
const MOMENTS_MAX: usize = 40;

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_table())
    }
}

impl Report {
    /// Text of at most 100 columns: the verdict, each violation with the command
    /// that replays it (a line of its own, never cut), then figures.
    pub fn to_table(&self) -> String {
        let mut page = Page::default();
        self.verdict_part(&mut page);
        self.jobs_part(&mut page);
        self.work_part(&mut page);
        self.operations_part(&mut page);
        self.loads_part(&mut page);
        self.timeline_part(&mut page);
        self.run_part(&mut page);
        page.0
    }

    fn verdict_part(&self, page: &mut Page) {
        let checks = match self.checks.len() {
            0 => "nothing was checked".to_owned(),
            some => format!("{}, {} checks", counted(some, "invariant"), count(self.checks.values().sum())),
        };
        page.line(&format!("{} ({checks})", self.verdict()));
        for violation in self.violations.iter().take(VIOLATIONS_MAX) {
            page.violation(violation);
        }
        if let more @ 1.. = self.violations.len().saturating_sub(VIOLATIONS_MAX) {
            page.line("");
            page.line(&format!("and {} more, in the JSON", counted(more, "violation")));
        }
    }

    fn jobs_part(&self, page: &mut Page) {
        if self.jobs.is_empty() {
            return;
        }
        page.head("jobs");
        let mut grid = Grid::new(&[
            ("job", Lean::Left),
            ("what", Lean::Left),
            ("submitted", Lean::Right),
            ("makespan", Lean::Right),
            ("tasks", Lean::Right),
            ("again", Lean::Right),
            ("state", Lean::Left),
            ("answer", Lean::Left),
        ]);
        for job in self.jobs.iter().take(JOBS_MAX) {
            let answer = match job.right {
                Some(true) => "right",
                Some(false) => "WRONG",
                None => "-",
            };
            grid.row([
                (&job.job, 12),
                (&job.title, 24),
                (&time(job.submitted), WIDTH),
                (&optional_time(job.makespan), WIDTH),
                (&count(job.tasks), WIDTH),
                (&count(job.reruns), WIDTH),
                (&job.state, 12),
                (answer, WIDTH),
            ]);
        }
        page.grid(&grid);
        if let more @ 1.. = self.jobs.len().saturating_sub(JOBS_MAX) {
            page.line(&format!("  and {}", counted(more, "more job")));
        }
    }

    fn work_part(&self, page: &mut Page) {
        let (totals, exposure) = (self.totals(), self.exposure());
        page.head("work and data");
        page.figure("makespan of all jobs", &optional_time(self.makespan()));
        let again = format!("{} again", count(totals.tasks_rerun));
        page.figure("tasks", &format!("{} done, {again}", count(totals.tasks_done)));
        let rate = bytes(totals.sent_bytes_per_second_max);
        page.figure("bytes moved", &format!("{}, at most {rate}/s", bytes(totals.sent_bytes)));
        let under = match exposure.chunks_max {
            0 => "never".to_owned(),
            max => format!(
                "{}, at most {}, {} chunk-seconds",
                time(exposure.time),
                counted(max as usize, "chunk"),
                count(exposure.chunk_seconds.round() as u64)
            ),
        };
        page.figure("under-replicated", &under);
        let without = match exposure.without_copy_max {
            0 => "never".to_owned(),
            max => format!("{}, at most {}", time(exposure.without_copy), counted(max as usize, "chunk")),
        };
        page.figure("without a live copy", &without);
        let healed = match (self.faults.len(), self.healed_after) {
            (0, _) => "nothing was broken".to_owned(),
            (faults, Some(after)) => format!("{} after the last of {}", time(after), counted(faults, "fault")),
            (faults, None) => format!("not seen, after {}", counted(faults, "fault")),
        };
        page.figure("whole again", &healed);
    }

    fn operations_part(&self, page: &mut Page) {
        if self.operations.is_empty() {
            return;
        }
        page.head("operations");
        let mut grid = Grid::new(&[
            ("kind", Lean::Left),
            ("ok", Lean::Right),
            ("failed", Lean::Right),
            ("unknown", Lean::Right),
            ("p50", Lean::Right),
            ("p99", Lean::Right),
        ]);
        for (operation, stats) in &self.operations {
            grid.row([
                (operation, 32),
                (&count(stats.ok), WIDTH),
                (&count(stats.failed), WIDTH),
                (&count(stats.unknown), WIDTH),
                (&optional_time(stats.p50), WIDTH),
                (&optional_time(stats.p99), WIDTH),
            ]);
        }
        page.grid(&grid);
    }

    fn loads_part(&self, page: &mut Page) {
        if self.loads.is_empty() {
            return;
        }
        page.head(&format!("load of {}", counted(self.loads.len(), "peer")));
        let mut grid = Grid::new(&[
            ("", Lean::Left),
            ("zone", Lean::Left),
            ("up", Lean::Right),
            ("tasks", Lean::Right),
            ("busy", Lean::Right),
            ("sent", Lean::Right),
            ("received", Lean::Right),
            ("written", Lean::Right),
            ("chunks", Lean::Right),
        ]);
        let spreads: [fn(Spread<u64>) -> u64; 3] = [|s| s.min, |s| s.median, |s| s.max];
        for (name, pick) in ["least", "median", "most"].into_iter().zip(spreads) {
            let of = |figure: fn(&PeerLoad) -> u64| pick(Spread::of(self.loads.iter().map(figure)));
            let row = PeerLoad {
                peer: name.to_owned(),
                zone: String::new(),
                up: Duration::from_nanos(of(|load| nanoseconds(load.up))),
                tasks: of(|load| load.tasks),
                busy: Duration::from_nanos(of(|load| nanoseconds(load.busy))),
                sent_bytes: of(|load| load.sent_bytes),
                received_bytes: of(|load| load.received_bytes),
                disk_written_bytes: of(|load| load.disk_written_bytes),
                chunks: of(|load| load.chunks),
            };
            load_row(&mut grid, &row);
        }
        let mut busiest: Vec<&PeerLoad> = self.loads.iter().collect();
        busiest.sort_by_key(|load| std::cmp::Reverse((load.busy, load.tasks, load.sent_bytes)));
        for load in busiest.into_iter().take(BUSIEST_MAX) {
            load_row(&mut grid, load);
        }
        for (index, line) in grid.lines(2, WIDTH).enumerate() {
            // The head and the spread come first.
            if index == 4 {
                page.line("  the busiest:");
            }
            page.line(&line);
        }
    }

    fn timeline_part(&self, page: &mut Page) {
        let timeline = self.timeline(MOMENTS_MAX);
        if timeline.moments.is_empty() {
            return;
        }
        page.head("timeline");
        for moment in &timeline.moments {
            page.line(&format!("{:>11.3} s  {}", moment.at.as_secs_f64(), moment.what));
        }
        if timeline.left_out > 0 {
            page.line(&format!("  {} left out, of those that matter less", counted(timeline.left_out, "moment")));
        }
    }

    fn run_part(&self, page: &mut Page) {
        page.head("run");
        page.figure("scenario", &format!("{}, {}", self.scenario, counted(self.peers as usize, "peer")));
        page.figure("simulated", &format!("{} in {}", time(self.simulated), time(self.wall)));
        page.figure("of it, until formed", &format!("{} in {}", time(self.formed), time(self.formed_wall)));
        let (speed, events) = (self.speed(), count(self.events_per_second().round() as u64));
        page.figure("speed", &format!("{speed:.1} simulated seconds and {events} events a second"));
        page.figure("events", &count(self.events));
        page.figure("seed", &self.seed.to_string());
        page.figure("trace", &self.trace);
    }
}

/// Lines, one after the other.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        self.0.push_str(shortened(line, WIDTH).trim_end());
        self.0.push('\n');
    }

    fn head(&mut self, head: &str) {
        self.line("");
        self.line(head);
    }

    fn figure(&mut self, name: &str, figure: &str) {
        self.line(&format!("  {name:<20}  {figure}"));
    }

    fn grid(&mut self, grid: &Grid) {
        for line in grid.lines(2, WIDTH) {
            self.line(&line);
        }
    }

    fn violation(&mut self, violation: &Violation) {
        self.line("");
        self.line(&format!("VIOLATION of {} at {:.3} s", violation.invariant, violation.at.as_secs_f64()));
        for line in wrapped(&violation.what, WIDTH - 2) {
            self.line(&format!("  {line}"));
        }
        if !violation.peers.is_empty() {
            let named: Vec<&str> = violation.peers.iter().take(PEERS_MAX).map(String::as_str).collect();
            let more = match violation.peers.len() - named.len() {
                0 => String::new(),
                more => format!(" and {} more", count(more as u64)),
            };
            for line in wrapped(&format!("peers: {}{more}", named.join(", ")), WIDTH - 2) {
                self.line(&format!("  {line}"));
            }
        }
        let skipped = violation.last_events.len().saturating_sub(EVENTS_MAX);
        if !violation.last_events.is_empty() {
            let before =
                if skipped > 0 { format!(" ({} before, in the JSON)", count(skipped as u64)) } else { String::new() };
            self.line(&format!("  last events{before}:"));
        }
        for event in violation.last_events.iter().skip(skipped) {
            self.line(&format!("    {event}"));
        }
        if !violation.replay.is_empty() {
            self.line("  to see it again:");
            // Cut or wrapped, nobody could paste it.
            self.0.push_str(violation.replay.trim());
            self.0.push('\n');
        }
    }
}

fn load_row(grid: &mut Grid, load: &PeerLoad) {
    grid.row([
        (&load.peer, 16),
        (&load.zone, 10),
        (&time(load.up), WIDTH),
        (&count(load.tasks), WIDTH),
        (&time(load.busy), WIDTH),
        (&bytes(load.sent_bytes), WIDTH),
        (&bytes(load.received_bytes), WIDTH),
        (&bytes(load.disk_written_bytes), WIDTH),
        (&count(load.chunks), WIDTH),
    ]);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn optional_time(moment: Option<Duration>) -> String {
    moment.map_or_else(|| "-".to_owned(), time)
}

/// The words of `text`, in lines of at most `width` characters.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

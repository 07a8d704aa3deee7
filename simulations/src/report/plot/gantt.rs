//! Which peer worked at what: a bar for each attempt, where hosts are few.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Scene;
use super::frame::Frame;
use super::palette::{FAINT, GRID, INK, VERMILION, job};
use super::panel::{Key, Mark, Panel};
use super::svg::{Path, Svg};
use crate::report::units::{count, shortened, time};
use crate::report::{TaskEnd, TaskSpan};

/// With more hosts there is no such panel.
const HOSTS_MAX: usize = 40;
/// Attempts of one peer that are drawn beside each other.
const LANES_MAX: usize = 4;
/// Bars in all; with more, time gets coarser.
const BARS_MAX: usize = 8_000;
/// Bars up to which each has a tooltip.
const TITLED_MAX: usize = 1_000;

/// One attempt, or some that lie too close to tell apart: it looks like the first.
struct Bar<'a> {
    lane: usize,
    first: &'a TaskSpan,
    to: Duration,
    attempts: usize,
}

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let tasks = &scene.report.tasks;
    if scene.hosts.len() > HOSTS_MAX || tasks.is_empty() {
        return None;
    }
    let row_height = (420.0 / scene.hosts.len() as f64).clamp(10.0, 26.0);
    let ends = [(TaskEnd::Lost, "lost with its peer"), (TaskEnd::Failed, "failed"), (TaskEnd::Cancelled, "cancelled")];
    let seen = ends.into_iter().filter(|(end, _)| tasks.iter().any(|task| task.ended == *end));
    Some(Panel {
        title: "tasks by peer",
        note: format!("{} attempts, coloured by job", count(tasks.len() as u64)),
        keys: seen.map(|(end, label)| Key { label, mark: Mark::Edge(edge(end).unwrap_or(FAINT)) }).collect(),
        height: row_height * scene.hosts.len() as f64,
        draw: Box::new(move |svg, frame| draw(scene, row_height, svg, frame)),
    })
}

/// The colour of a bar's right edge, if it ended before it was done.
fn edge(end: TaskEnd) -> Option<&'static str> {
    match end {
        TaskEnd::Done => None,
        TaskEnd::Failed => Some(INK),
        TaskEnd::Cancelled => Some("#8d979e"),
        TaskEnd::Lost => Some(VERMILION),
    }
}

fn draw(scene: &Scene<'_>, row_height: f64, svg: &mut Svg, frame: Frame) {
    let mut by_peer: BTreeMap<&str, Vec<&TaskSpan>> = BTreeMap::new();
    for task in &scene.report.tasks {
        by_peer.entry(&task.peer).or_default().push(task);
    }
    let mut close = frame.end.div_f64(frame.width);
    let mut rows: Vec<Vec<Bar<'_>>>;
    loop {
        let spans = scene.hosts.iter().map(|host| by_peer.get(host.peer.as_str()).cloned().unwrap_or_default());
        rows = spans.map(|spans| bars(spans, close)).collect();
        if close > frame.end || rows.iter().map(Vec::len).sum::<usize>() <= BARS_MAX {
            break;
        }
        close *= 2;
    }
    let lanes = rows.iter().flatten().map(|bar| bar.lane + 1).max().unwrap_or(1);
    let lane_height = (row_height - 2.0) / lanes as f64;
    let thick = (lane_height - if lane_height > 5.0 { 1.0 } else { 0.3 }).max(1.0);
    let titled = rows.iter().map(Vec::len).sum::<usize>() <= TITLED_MAX;
    let mut paths: BTreeMap<Look, Path> = BTreeMap::new();
    let mut edges: BTreeMap<TaskEnd, Path> = BTreeMap::new();
    for (index, (host, bars)) in scene.hosts.iter().zip(&rows).enumerate() {
        let top = frame.top + row_height * index as f64;
        let attributes = format!(r#"font-size="10" text-anchor="end" fill="{FAINT}""#);
        svg.text((frame.left - 8.0, top + row_height / 2.0 + 3.5), &attributes, &shortened(&host.peer, 18));
        if index > 0 {
            svg.line((frame.left, top), (frame.right(), top), &format!(r#"stroke="{GRID}""#));
        }
        for bar in bars {
            let (x, right) = (frame.x(bar.first.from), frame.x(bar.to));
            let width = (right - x - 0.5).max(1.0);
            let middle = top + 1.0 + lane_height * (bar.lane as f64 + 0.5);
            let look = (scene.job_indexes.get(bar.first.job.as_str()).copied().unwrap_or(0), bar.first.ended);
            paths.entry(look).or_default().dash((x, middle), width);
            if edge(bar.first.ended).is_some() {
                let edge_width = width.min(2.5);
                edges.entry(bar.first.ended).or_default().dash((x + width - edge_width, middle), edge_width);
            }
            if titled {
                svg.open("g", "");
                svg.title(&bar.title());
                draw_paths(std::mem::take(&mut paths), std::mem::take(&mut edges), thick, svg);
                svg.close("g");
            }
        }
    }
    draw_paths(paths, edges, thick, svg);
}

/// What a bar shows: the place of its job, and how it ended.
type Look = (usize, TaskEnd);

fn draw_paths(bars: BTreeMap<Look, Path>, edges: BTreeMap<TaskEnd, Path>, thick: f64, svg: &mut Svg) {
    for ((index, ended), path) in bars {
        let opacity = if edge(ended).is_some() { 0.35 } else { 0.9 };
        let attributes = format!(r#"stroke="{}" stroke-opacity="{opacity}" stroke-width="{thick:.1}""#, job(index));
        svg.path(&path, &attributes);
    }
    for (ended, path) in edges {
        let colour = edge(ended).unwrap_or(FAINT);
        svg.path(&path, &format!(r#"stroke="{colour}" stroke-width="{thick:.1}""#));
    }
}

impl Bar<'_> {
    fn title(&self) -> String {
        let more = if self.attempts > 1 { format!(" and {} more", self.attempts - 1) } else { String::new() };
        let ended = match self.first.ended {
            TaskEnd::Done => "done",
            TaskEnd::Failed => "failed",
            TaskEnd::Cancelled => "cancelled",
            TaskEnd::Lost => "lost",
        };
        let took = time(self.to.saturating_sub(self.first.from));
        format!("{} {}{more} on {}: {ended} after {took}", self.first.job, self.first.task, self.first.peer)
    }
}

/// Spans of one peer in lanes. A span joins the bar before it if less than
/// `close` parts them, and either they look alike and one is shorter than that,
/// or both together are.
fn bars(mut spans: Vec<&TaskSpan>, close: Duration) -> Vec<Bar<'_>> {
    spans.sort_by_key(|span| (span.from, span.to));
    let mut bars: Vec<Bar<'_>> = Vec::new();
    // The bar that is last in each lane.
    let mut lanes: Vec<usize> = Vec::new();
    for span in spans {
        let joined = lanes.iter().copied().find(|last| {
            let bar = &bars[*last];
            let alike = (&bar.first.job, bar.first.ended) == (&span.job, span.ended);
            let lengths = (bar.to.saturating_sub(bar.first.from), span.to.saturating_sub(span.from));
            let short = if alike { lengths.0.min(lengths.1) } else { lengths.0 + lengths.1 } < close;
            short && bar.to <= span.from && span.from.saturating_sub(bar.to) < close
        });
        if let Some(last) = joined {
            bars[last].to = span.to.max(bars[last].to);
            bars[last].attempts += 1;
            continue;
        }
        let free = lanes.iter().position(|last| bars[*last].to <= span.from);
        let lane = free.unwrap_or(if lanes.len() < LANES_MAX {
            lanes.push(0);
            lanes.len() - 1
        } else {
            // No room: over the bar that ends first.
            (0..LANES_MAX).min_by_key(|lane| bars[lanes[*lane]].to).unwrap_or(0)
        });
        lanes[lane] = bars.len();
        bars.push(Bar { lane, first: span, to: span.to, attempts: 1 });
    }
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: Duration = Duration::from_millis(10);

    fn span(from_ms: u64, to_ms: u64, job: &str) -> TaskSpan {
        let (from, to) = (Duration::from_millis(from_ms), Duration::from_millis(to_ms));
        TaskSpan { peer: "p".into(), job: job.into(), task: String::new(), from, to, ended: TaskEnd::Done }
    }

    /// Lane, start, end, attempts.
    fn check(spans: &[TaskSpan], wanted: &[(usize, u64, u64, usize)]) {
        let ms = |time: Duration| time.as_millis() as u64;
        let bars = bars(spans.iter().collect(), CLOSE);
        let found: Vec<_> = bars.iter().map(|bar| (bar.lane, ms(bar.first.from), ms(bar.to), bar.attempts)).collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn attempts_at_the_same_time_lie_in_lanes_of_their_own() {
        let spans = [span(0, 100, "a"), span(50, 150, "a"), span(100, 200, "a")];
        check(&spans, &[(0, 0, 100, 1), (1, 50, 150, 1), (0, 100, 200, 1)]);
    }

    #[test]
    fn short_neighbours_of_one_look_become_one_bar_and_long_ones_do_not() {
        check(&[span(0, 4, "a"), span(5, 9, "a"), span(12, 90, "a")], &[(0, 0, 90, 3)]);
        check(&[span(0, 50, "a"), span(51, 99, "a")], &[(0, 0, 50, 1), (0, 51, 99, 1)]);
        check(&[span(0, 8, "a"), span(9, 17, "b")], &[(0, 0, 8, 1), (0, 9, 17, 1)]);
    }
}

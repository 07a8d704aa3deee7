//! The report as a picture: panels over one time axis.

mod frame;
mod gantt;
mod hosts;
mod jobs;
mod marks;
mod membership;
mod palette;
mod panel;
mod replication;
mod running;
mod series;
mod svg;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::frame::{Frame, time_ticks};
use self::marks::Marks;
use self::palette::FAINT;
use self::panel::{HEAD, Panel};
use self::svg::Svg;
use super::units::{count, counted, shortened, time};
use super::{Report, Sample};

const WIDTH: f64 = 1200.0;
const MARGIN_LEFT: f64 = 132.0;
const MARGIN_RIGHT: f64 = 24.0;
/// Room between a panel and the next one's head.
const GAP: f64 = 12.0;

/// A report, made ready to draw.
struct Scene<'a> {
    report: &'a Report,
    /// At most [`series::POINTS_MAX`].
    samples: Vec<Sample>,
    /// By zone, then by name.
    hosts: Vec<Host>,
    /// Job → its place among the jobs, which gives its colour.
    job_indexes: BTreeMap<&'a str, usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Host {
    zone: String,
    /// `peer-10` comes after `peer-9`.
    order: (String, u64),
    peer: String,
}

impl Report {
    /// An SVG page, at most about a megabyte however large the run was: what
    /// lies too close to be told apart is merged. The same run gives the same
    /// bytes.
    pub fn plot(&self) -> String {
        let scene = Scene::of(self);
        let panels: Vec<Panel<'_>> = [
            hosts::panel(&scene),
            jobs::panel(&scene),
            gantt::panel(&scene),
            running::panel(&scene),
            replication::panel(&scene),
            membership::panel(&scene),
            traffic::panel(&scene),
        ]
        .into_iter()
        .flatten()
        .collect();

        let mut frame = Frame {
            left: MARGIN_LEFT,
            top: 0.0,
            width: WIDTH - MARGIN_LEFT - MARGIN_RIGHT,
            height: 0.0,
            end: self.end(),
        };
        let marks = Marks::of(self, frame);
        let labels_top = 58.0;
        let panels_top = labels_top + marks.height() + 4.0;
        let panels_height: f64 = panels.iter().map(|panel| HEAD + panel.height + GAP).sum();
        let axis_top = panels_top + panels_height - GAP;

        let mut svg = Svg::page(WIDTH, axis_top + 46.0);
        self.head(&mut svg);
        frame.top = panels_top;
        for panel in &panels {
            frame.top += HEAD;
            frame.height = panel.height;
            svg.open("g", r#"class="panel""#);
            frame.ground(&mut svg);
            marks.draw_bands(&mut svg, frame);
            (panel.draw)(&mut svg, frame);
            frame.border(&mut svg);
            svg.close("g");
            frame.top += panel.height + GAP;
        }
        marks.draw_lines(&mut svg, labels_top, axis_top);
        marks.draw_labels(&mut svg, frame, labels_top);
        // Over the marks' lines, which would run through them.
        frame.top = panels_top;
        for panel in &panels {
            frame.top += HEAD;
            panel.head(&mut svg, frame);
            frame.top += panel.height + GAP;
        }
        for (at, label) in time_ticks(frame.end) {
            svg.text((frame.x(at), axis_top + 16.0), r#"text-anchor="middle""#, &label);
        }
        self.foot(&mut svg, axis_top + 36.0);
        svg.finish()
    }

    /// Where the time axis ends.
    fn end(&self) -> Duration {
        let sampled = self.samples.last().map(|last| last.at).unwrap_or_default();
        self.simulated.max(sampled).max(Duration::from_millis(1))
    }

    fn head(&self, svg: &mut Svg) {
        let scenario = shortened(&self.scenario, 80);
        svg.text((MARGIN_LEFT, 26.0), r#"font-size="18" font-weight="bold""#, &scenario);
        let what = format!(
            "seed {}, {}, {} simulated, {}",
            self.seed,
            counted(self.peers as usize, "peer"),
            time(self.simulated),
            counted(self.faults.len(), "fault")
        );
        svg.text((MARGIN_LEFT, 45.0), &format!(r#"font-size="12.5" fill="{FAINT}""#), &what);
        let verdict = self.verdict();
        let colour = if self.holds() { "#00664b" } else { "#b3001b" };
        let width = svg::text_width(&verdict, 13.0) + 26.0;
        let x = WIDTH - MARGIN_RIGHT - width;
        svg.rect((x, 14.0), (width, 26.0), &format!(r#"rx="4" fill="{colour}""#));
        let attributes = r##"font-size="13" font-weight="bold" fill="#ffffff" text-anchor="middle""##;
        svg.text((x + width / 2.0, 31.5), attributes, &verdict);
    }

    fn foot(&self, svg: &mut Svg, y: f64) {
        let checks = count(self.checks.values().sum());
        let text = format!("{} events, {checks} checks, trace {}", count(self.events), shortened(&self.trace, 64));
        svg.text((MARGIN_LEFT, y), &format!(r#"font-size="10" fill="{FAINT}""#), &text);
        let attributes = format!(r#"font-size="10" fill="{FAINT}" text-anchor="end""#);
        svg.text((WIDTH - MARGIN_RIGHT, y), &attributes, "virtual time");
    }
}

impl<'a> Scene<'a> {
    fn of(report: &'a Report) -> Self {
        let zones: BTreeMap<&str, &str> =
            report.loads.iter().map(|load| (load.peer.as_str(), load.zone.as_str())).collect();
        let peers = report.hosts.iter().map(|span| span.peer.as_str()).chain(zones.keys().copied());
        let hosts: BTreeSet<Host> =
            peers.map(|peer| Host::new(peer, zones.get(peer).copied().unwrap_or_default())).collect();
        let mut job_indexes = BTreeMap::new();
        for job in report.jobs.iter().map(|job| &job.job).chain(report.tasks.iter().map(|task| &task.job)) {
            let next = job_indexes.len();
            job_indexes.entry(job.as_str()).or_insert(next);
        }
        Self { report, samples: series::downsampled(&report.samples), hosts: hosts.into_iter().collect(), job_indexes }
    }
}

impl Host {
    fn new(peer: &str, zone: &str) -> Self {
        let stem = peer.trim_end_matches(|c: char| c.is_ascii_digit());
        let number = peer[stem.len()..].parse().unwrap_or(0);
        Self { zone: zone.to_owned(), order: (stem.to_owned(), number), peer: peer.to_owned() }
    }
}

//! Faults, violations and recovery: bands and lines through all panels, with
//! labels above them.

use std::time::Duration;

use super::frame::Frame;
use super::palette::{FAINT, GREEN, HALO, VERMILION};
use super::svg::{Path, Svg, text_width};
use crate::report::Report;
use crate::report::units::{count, counted, shortened, time};

/// Lines of labels.
const ROWS_MAX: usize = 4;
const ROW_HEIGHT: f64 = 14.0;
/// With more faults than this at different places, they become ticks above the
/// panels: lines would hide what is below them.
const FAULTS_MAX: usize = 40;
/// A violation's red, darker than a fault's.
const RED: &str = "#b3001b";
const LABEL_SIZE: f64 = 10.5;

/// What a mark tells of; the former has the first choice of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Violation,
    Whole,
    Fault,
}

/// A line through the panels, and what it says.
struct Mark {
    kind: Kind,
    x: f64,
    until: Option<f64>,
    label: String,
    /// Marks at the same place that it stands for.
    others: usize,
    place: Option<Place>,
}

/// Where a label stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    row: usize,
    left_of_line: bool,
}

/// All marks of a run, their labels placed.
pub(super) struct Marks {
    marks: Vec<Mark>,
    /// Faults as ticks, if they are many.
    ticks: Vec<f64>,
    faults: usize,
    rows: usize,
}

impl Marks {
    pub(super) fn of(report: &Report, frame: Frame) -> Self {
        let mark = |kind, at: Duration, until: Option<Duration>, label: String| Mark {
            kind,
            x: frame.x(at),
            until: until.map(|until| frame.x(until)),
            label: shortened(&label, 44),
            others: 0,
            place: None,
        };
        let whole = report.healed_at().zip(report.healed_after);
        let rare = (report.violations.iter())
            .map(|v| mark(Kind::Violation, v.at, None, format!("VIOLATION: {}", v.invariant)))
            .chain(whole.map(|(at, after)| mark(Kind::Whole, at, None, format!("whole again after {}", time(after)))));
        let mut marks = merged(rare.collect());
        let faults = report.faults.iter().map(|fault| mark(Kind::Fault, fault.at, fault.until, fault.what.clone()));
        let faults = merged(faults.collect());
        let mut ticks = Vec::new();
        if faults.len() > FAULTS_MAX {
            ticks = faults.iter().map(|fault| fault.x).collect();
        } else {
            marks.extend(faults);
        }
        let rows = place(&mut marks, frame);
        Self { marks, ticks, faults: report.faults.len(), rows }
    }

    /// Room that the labels need above the panels.
    pub(super) fn height(&self) -> f64 {
        ROW_HEIGHT * (self.rows + usize::from(!self.ticks.is_empty())) as f64
    }

    /// The times in which a fault was not mended. Goes below a panel's content.
    pub(super) fn draw_bands(&self, svg: &mut Svg, frame: Frame) {
        // Where faults overlap, one band: several would hide the panel.
        let mut bands: Vec<(f64, f64)> = Vec::new();
        for (from, until) in self.marks.iter().filter_map(|mark| Some((mark.x, mark.until?))) {
            match bands.last_mut() {
                Some((_, to)) if from <= *to => *to = to.max(until),
                _ => bands.push((from, until)),
            }
        }
        for (from, until) in bands {
            let size = (until - from, frame.height);
            svg.rect((from, frame.top), size, &format!(r#"fill="{VERMILION}" fill-opacity="0.1""#));
        }
    }

    /// From the labels, which start at `top`, down to `bottom`.
    pub(super) fn draw_lines(&self, svg: &mut Svg, top: f64, bottom: f64) {
        let panels = top + self.height();
        for mark in &self.marks {
            if let Some(until) = mark.until {
                let attributes =
                    format!(r#"stroke="{VERMILION}" stroke-opacity="0.6" stroke-width="0.8" stroke-dasharray="2 3""#);
                svg.line((until, panels), (until, bottom), &attributes);
            }
            let from = mark.place.map_or(panels, |place| top + ROW_HEIGHT * place.row as f64 + 2.0);
            let look = match mark.kind {
                Kind::Violation => r#"stroke-width="2""#,
                Kind::Whole => r#"stroke-width="1.4" stroke-dasharray="6 3""#,
                Kind::Fault => r#"stroke-opacity="0.8""#,
            };
            let attributes = format!(r#"stroke="{}" {look}"#, mark.kind.colour());
            svg.line((mark.x, from), (mark.x, bottom), &attributes);
        }
        let mut ticks = Path::default();
        for x in &self.ticks {
            ticks.to('M', (*x, panels - ROW_HEIGHT + 3.0));
            ticks.upright_to(panels - 2.0);
        }
        svg.path(&ticks, &format!(r#"stroke="{VERMILION}" stroke-opacity="0.7" fill="none""#));
    }

    pub(super) fn draw_labels(&self, svg: &mut Svg, frame: Frame, top: f64) {
        for (mark, place) in self.marks.iter().filter_map(|mark| Some((mark, mark.place?))) {
            let y = top + ROW_HEIGHT * place.row as f64 + 11.0;
            let weight = if mark.kind == Kind::Violation { r#" font-weight="bold""# } else { "" };
            let colour = mark.kind.colour();
            let attributes = format!(r#"font-size="{LABEL_SIZE}" fill="{colour}" {HALO}{weight}"#);
            if place.left_of_line {
                svg.text((mark.x - 4.0, y), &format!(r#"{attributes} text-anchor="end""#), &mark.text());
            } else {
                svg.text((mark.x + 4.0, y), &attributes, &mark.text());
            }
        }
        let attributes = format!(r#"font-size="10" fill="{FAINT}" text-anchor="end""#);
        let unnamed: usize = self.marks.iter().filter(|mark| mark.place.is_none()).map(|mark| mark.others + 1).sum();
        if unnamed > 0 {
            let text = format!("{} without label", count(unnamed as u64));
            svg.text((frame.left - 8.0, top + 11.0), &attributes, &text);
        }
        if !self.ticks.is_empty() {
            let y = top + self.height() - 3.0;
            svg.text((frame.left - 8.0, y), &attributes, &counted(self.faults, "fault"));
        }
    }
}

impl Mark {
    fn text(&self) -> String {
        match self.others {
            0 => self.label.clone(),
            others => format!("{} (+{})", self.label, count(others as u64)),
        }
    }
}

impl Kind {
    fn colour(self) -> &'static str {
        match self {
            Self::Violation => RED,
            Self::Whole => GREEN,
            Self::Fault => VERMILION,
        }
    }
}

/// In their order; marks of a kind that differ by less than a pixel become one.
fn merged(mut marks: Vec<Mark>) -> Vec<Mark> {
    marks.sort_by(|a, b| (a.kind, a.x).partial_cmp(&(b.kind, b.x)).unwrap_or(std::cmp::Ordering::Equal));
    let mut merged: Vec<Mark> = Vec::new();
    for mark in marks {
        match merged.last_mut() {
            Some(last) if last.kind == mark.kind && mark.x - last.x < 1.0 => {
                last.others += 1;
                last.until = last.until.into_iter().chain(mark.until).reduce(f64::max);
            }
            _ => merged.push(mark),
        }
    }
    merged
}

/// Gives labels their places, so that no line runs through a label; returns how
/// many rows there are.
fn place(marks: &mut [Mark], frame: Frame) -> usize {
    let mut taken: Vec<Vec<(f64, f64)>> = vec![Vec::new(); ROWS_MAX];
    let free = |row: &[(f64, f64)], (from, to): (f64, f64)| row.iter().all(|(a, b)| to <= *a || from >= *b);
    let mut rows = 0;
    for mark in marks {
        let width = text_width(&mark.text(), LABEL_SIZE) + 10.0;
        let line = (mark.x - 1.0, mark.x + 1.0);
        let right = (mark.x, mark.x + width);
        let left = (mark.x - width, mark.x);
        let fits = |row: usize, span: (f64, f64)| {
            let inside = span.0 >= frame.left && span.1 <= frame.right() + 16.0;
            inside && free(&taken[row], span) && taken[row + 1..].iter().all(|below| free(below, line))
        };
        let choices = (0..ROWS_MAX).flat_map(|row| [(row, false, right), (row, true, left)]);
        let choice = choices.into_iter().find(|(row, _, span)| fits(*row, *span));
        if let Some((row, left_of_line, span)) = choice {
            mark.place = Some(Place { row, left_of_line });
            rows = rows.max(row + 1);
            taken[row].push(span);
            for below in &mut taken[row + 1..] {
                below.push(line);
            }
        }
    }
    rows
}

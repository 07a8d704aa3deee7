//! Curves over time.

use std::time::Duration;

use super::frame::{Frame, Scale};
use super::svg::Path;
use crate::report::Sample;

/// More points than pixels show nothing more.
pub(super) const POINTS_MAX: usize = 1_000;

/// At most [`POINTS_MAX`] samples. Merged ones keep what is worst: the fewest
/// hosts, the widest band, the most chunks in danger.
pub(super) fn downsampled(samples: &[Sample]) -> Vec<Sample> {
    let each = samples.len().div_ceil(POINTS_MAX).max(1);
    samples.chunks(each).filter_map(|some| some.iter().cloned().reduce(merged)).collect()
}

fn merged(before: Sample, after: Sample) -> Sample {
    Sample {
        at: before.at,
        hosts_up: before.hosts_up.min(after.hosts_up),
        hosts_paused: before.hosts_paused.max(after.hosts_paused),
        members_alive_min: before.members_alive_min.min(after.members_alive_min),
        members_alive_max: before.members_alive_max.max(after.members_alive_max),
        layout_joint: before.layout_joint || after.layout_joint,
        chunks_under_replicated: before.chunks_under_replicated.max(after.chunks_under_replicated),
        chunks_without_copy: before.chunks_without_copy.max(after.chunks_without_copy),
        tasks_running: before.tasks_running.max(after.tasks_running),
        jobs_running: before.jobs_running.max(after.jobs_running),
        ..after
    }
}

/// A value that holds from its moment until the next one's.
pub(super) type Point = (Duration, f64);

/// The line through the points, in steps, to the frame's right edge.
pub(super) fn steps(points: &[Point], frame: Frame, scale: Scale) -> Path {
    let mut path = Path::default();
    let mut level = None;
    for (at, value) in points {
        let (x, y) = (frame.x(*at), scale.y(*value));
        match level {
            None => path.to('M', (x, y)),
            Some(level) if level != y => {
                path.level_to(x);
                path.upright_to(y);
            }
            Some(_) => {}
        }
        level = Some(y);
    }
    if level.is_some() {
        path.level_to(frame.right());
    }
    path
}

/// The area between two such lines; both have the same moments.
pub(super) fn band(low: &[Point], high: &[Point], frame: Frame, scale: Scale) -> Path {
    let mut path = steps(high, frame, scale);
    let mut right = frame.right();
    for (at, value) in low.iter().rev() {
        if !path.is_empty() {
            path.to('L', (right, scale.y(*value)));
            right = frame.x(*at);
            path.level_to(right);
        }
    }
    if !path.is_empty() {
        path.shut();
    }
    path
}

/// The area below the line.
pub(super) fn area(points: &[Point], frame: Frame, scale: Scale) -> Path {
    let mut path = steps(points, frame, scale);
    if let Some((first, _)) = points.first() {
        path.upright_to(frame.bottom());
        path.level_to(frame.x(*first));
        path.shut();
    }
    path
}

/// One figure of each sample.
pub(super) fn points(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> Vec<Point> {
    samples.iter().map(|sample| (sample.at, figure(sample))).collect()
}

/// The greatest value; 0 of none.
pub(super) fn highest(points: &[Point]) -> f64 {
    points.iter().map(|(_, value)| *value).fold(0.0, f64::max)
}

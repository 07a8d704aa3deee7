//! Where a panel lies, and how times and figures become places in it.

use std::time::Duration;

use super::palette::{FAINT, GRID, GROUND};
use super::svg::Svg;
use crate::report::units::{bytes, count};

/// A panel's drawing area and the time that it spans.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    /// The time at the right edge; above zero.
    pub end: Duration,
}

impl Frame {
    pub(super) fn x(&self, at: Duration) -> f64 {
        self.left + self.width * (at.as_secs_f64() / self.end.as_secs_f64()).clamp(0.0, 1.0)
    }

    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    /// The ground and the upright grid lines.
    pub(super) fn ground(&self, svg: &mut Svg) {
        svg.rect((self.left, self.top), (self.width, self.height), &format!(r#"fill="{GROUND}""#));
        for (at, _) in time_ticks(self.end) {
            let x = self.x(at);
            svg.line((x, self.top), (x, self.bottom()), &format!(r#"stroke="{GRID}""#));
        }
    }

    /// The border, which goes over the content.
    pub(super) fn border(&self, svg: &mut Svg) {
        let attributes = r##"fill="none" stroke="#aab2b8""##;
        svg.rect((self.left, self.top), (self.width, self.height), attributes);
    }
}

/// What figures count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    BytesPerSecond,
}

/// The upright axis of a panel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    frame: Frame,
    low: f64,
    high: f64,
    unit: Unit,
}

impl Scale {
    /// From `low` to somewhat above `high`.
    pub(super) fn new(frame: Frame, low: f64, high: f64, unit: Unit) -> Self {
        let span = (high - low).max(if unit == Unit::Count { 1.0 } else { 1024.0 });
        Self { frame, low, high: low + span * 1.1, unit }
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let share = (value - self.low) / (self.high - self.low);
        self.frame.bottom() - self.frame.height * share.clamp(0.0, 1.0)
    }

    /// The least figure above the bottom that one cannot overlook.
    pub(super) fn visible(&self) -> f64 {
        self.low + (self.high - self.low) * 4.0 / self.frame.height
    }

    /// Level grid lines and their labels, left of the frame.
    pub(super) fn grid(&self, svg: &mut Svg) {
        let step = self.step();
        let mut value = (self.low / step).ceil() * step;
        while value <= self.high {
            let y = self.y(value);
            svg.line((self.frame.left, y), (self.frame.right(), y), &format!(r#"stroke="{GRID}""#));
            let label = match self.unit {
                Unit::Count => count(value.round() as u64),
                Unit::BytesPerSecond if value == 0.0 => "0".to_owned(),
                Unit::BytesPerSecond => format!("{}/s", bytes(value.round() as u64).replace(".0 ", " ")),
            };
            let attributes = format!(r#"text-anchor="end" fill="{FAINT}""#);
            svg.text((self.frame.left - 8.0, y + 4.0), &attributes, &label);
            value += step;
        }
    }

    /// A round step that gives three to six lines.
    fn step(&self) -> f64 {
        let least = (self.high - self.low) / (self.frame.height / 24.0).clamp(3.0, 6.0);
        match self.unit {
            Unit::Count => {
                let power = 10f64.powf(least.max(1.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= least);
                step.unwrap_or(10.0 * power).max(1.0)
            }
            Unit::BytesPerSecond => least.max(1.0).log2().ceil().exp2(),
        }
    }
}

/// Moments for grid lines, and their labels.
pub(super) fn time_ticks(end: Duration) -> Vec<(Duration, String)> {
    const STEPS: [u64; 24] = [
        1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000,
        600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000,
    ];
    const TICKS_MAX: u64 = 13;
    let end_ms = u64::try_from(end.as_millis()).unwrap_or(u64::MAX);
    let fitting = STEPS.into_iter().find(|step| end_ms / step < TICKS_MAX);
    let step = fitting.unwrap_or_else(|| end_ms.div_ceil(TICKS_MAX));
    let label = |ms: u64| {
        let s = ms / 1000;
        match end_ms {
            ..1000 => format!("{ms} ms"),
            1000..300_000 if step < 1000 => format!("{:.1} s", ms as f64 / 1000.0),
            1000..300_000 => format!("{s} s"),
            300_000..10_800_000 if step % 60_000 == 0 => format!("{} min", s / 60),
            300_000..10_800_000 => format!("{}:{:02} min", s / 60, s % 60),
            _ => format!("{}:{:02} h", s / 3600, s / 60 % 60),
        }
    };
    (0..=end_ms / step).map(|tick| (Duration::from_millis(tick * step), label(tick * step))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_axis_of_any_length_has_a_handful_of_labels() {
        let mut end = Duration::from_millis(1);
        while end < Duration::from_secs(40 * 86_400) {
            let ticks = time_ticks(end);
            assert!((2..=14).contains(&ticks.len()), "{end:?}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| *at <= end), "{end:?}: {ticks:?}");
            let distinct: std::collections::BTreeSet<_> = ticks.iter().map(|(_, label)| label).collect();
            assert_eq!(distinct.len(), ticks.len(), "{end:?}: {ticks:?}");
            end = end.mul_f64(1.3) + Duration::from_millis(1);
        }
    }

    #[test]
    fn a_scale_puts_its_ends_where_the_frame_ends_and_nothing_outside() {
        let frame = Frame { left: 0.0, top: 10.0, width: 100.0, height: 90.0, end: Duration::from_secs(1) };
        let scale = Scale::new(frame, 0.0, 1_000.0, Unit::Count);
        assert_eq!(scale.y(0.0), 100.0);
        assert!(scale.y(1_000.0) > 10.0 && scale.y(1_000.0) < 20.0);
        assert_eq!((scale.y(-5.0), scale.y(1e9)), (100.0, 10.0));
        assert!(scale.y(scale.visible()) <= 96.0);
    }
}

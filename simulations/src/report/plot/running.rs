//! Tasks over time, and those that had to be run again.

use super::Scene;
use super::frame::{Scale, Unit};
use super::palette::{BLUE, SKY, VERMILION};
use super::panel::{Key, Mark, Panel};
use super::series::{area, highest, points, steps};
use crate::report::units::count;

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let samples = &scene.samples;
    let running = points(samples, |sample| f64::from(sample.tasks_running));
    let again: Vec<_> = samples
        .windows(2)
        .map(|pair| (pair[0].at, pair[1].at, pair[1].tasks_rerun.saturating_sub(pair[0].tasks_rerun)))
        .filter(|(_, _, again)| *again > 0)
        .collect();
    let totals = scene.report.totals();
    if totals.tasks_done + totals.tasks_rerun == 0 && highest(&running) == 0.0 {
        return None;
    }
    let high = again.iter().map(|(_, _, again)| *again as f64).fold(highest(&running), f64::max);
    Some(Panel {
        title: "tasks",
        note: format!("{} done, {} run again", count(totals.tasks_done), count(totals.tasks_rerun)),
        keys: vec![
            Key { label: "running", mark: Mark::Area(SKY, 0.6) },
            Key { label: "run again, since the last sample", mark: Mark::Area(VERMILION, 1.0) },
        ],
        height: 90.0,
        draw: Box::new(move |svg, frame| {
            let scale = Scale::new(frame, 0.0, high, Unit::Count);
            scale.grid(svg);
            svg.path(&area(&running, frame, scale), &format!(r#"fill="{SKY}" fill-opacity="0.6""#));
            svg.path(&steps(&running, frame, scale), &format!(r#"fill="none" stroke="{BLUE}""#));
            for (from, to, again) in &again {
                let (x, y) = (frame.x(*from), scale.y((*again as f64).max(scale.visible())));
                let width = (frame.x(*to) - x - 1.0).clamp(2.0, 8.0);
                // The bar stands at the sample that saw it.
                let at = (frame.x(*to) - width, y);
                svg.rect(at, (width, frame.bottom() - y), &format!(r#"fill="{VERMILION}""#));
            }
        }),
    })
}

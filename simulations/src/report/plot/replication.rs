//! Chunks that had too few copies, over time.

use super::Scene;
use std::time::Duration;

use super::frame::{Scale, Unit};
use super::palette::{INK, ORANGE};
use super::panel::{Key, Mark, Panel};
use super::series::{Point, area, highest, points, steps};
use crate::report::units::{count, time};

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let samples = &scene.samples;
    let under = points(samples, |sample| sample.chunks_under_replicated as f64);
    let without = points(samples, |sample| sample.chunks_without_copy as f64);
    let chunks = samples.iter().map(|sample| sample.chunks).max().filter(|chunks| *chunks > 0)?;
    let exposure = scene.report.exposure();
    Some(Panel {
        title: "chunks in danger",
        note: match exposure.time {
            Duration::ZERO => format!("none of {}", count(chunks)),
            some => format!("of {}; under-replicated for {}", count(chunks), time(some)),
        },
        keys: vec![
            Key { label: "too few live copies", mark: Mark::Area(ORANGE, 0.75) },
            Key { label: "no live copy", mark: Mark::Area(INK, 1.0) },
        ],
        height: 80.0,
        draw: Box::new(move |svg, frame| {
            let scale = Scale::new(frame, 0.0, highest(&under).max(highest(&without)), Unit::Count);
            scale.grid(svg);
            svg.path(&area(&under, frame, scale), &format!(r#"fill="{ORANGE}" fill-opacity="0.75""#));
            svg.path(&steps(&under, frame, scale), r##"fill="none" stroke="#b37b00""##);
            // Few, but these are the ones that count.
            let shown = |value: f64| if value > 0.0 { value.max(scale.visible()) } else { value };
            let without: Vec<Point> = without.iter().map(|(at, value)| (*at, shown(*value))).collect();
            if highest(&without) > 0.0 {
                svg.path(&area(&without, frame, scale), &format!(r#"fill="{INK}""#));
            }
        }),
    })
}

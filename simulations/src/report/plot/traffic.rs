//! Bytes that went over the network, over time.

use super::Scene;
use super::frame::{Scale, Unit};
use super::palette::GREEN;
use super::panel::{Key, Mark, Panel};
use super::series::{Point, area, highest, steps};
use crate::report::figures::sent_per_second;
use crate::report::units::bytes;

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let rates: Vec<Point> =
        scene.samples.windows(2).map(|pair| (pair[0].at, sent_per_second(&pair[0], &pair[1]))).collect();
    // Nothing is known from the last sample on.
    let known = scene.samples.last().map(|last| (last.at, 0.0)).filter(|_| !rates.is_empty())?;
    let rates: Vec<Point> = rates.into_iter().chain([known]).collect();
    Some(Panel {
        title: "network",
        note: format!("{} in all", bytes(scene.report.totals().sent_bytes)),
        keys: vec![Key { label: "bytes sent a second", mark: Mark::Area(GREEN, 0.5) }],
        height: 80.0,
        draw: Box::new(move |svg, frame| {
            let scale = Scale::new(frame, 0.0, highest(&rates), Unit::BytesPerSecond);
            scale.grid(svg);
            svg.path(&area(&rates, frame, scale), &format!(r#"fill="{GREEN}" fill-opacity="0.5""#));
            svg.path(&steps(&rates, frame, scale), &format!(r#"fill="none" stroke="{GREEN}""#));
        }),
    })
}

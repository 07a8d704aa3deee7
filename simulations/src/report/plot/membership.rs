//! Whom the peers hold for alive, against who is; and the layout.

use std::time::Duration;

use super::Scene;
use super::frame::{Frame, Scale, Unit};
use super::palette::{BLUE, INK, PURPLE};
use super::panel::{Key, Mark, Panel};
use super::series::{band, highest, points, steps};
use super::svg::{Svg, text_width};

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let samples = &scene.samples;
    let up = points(samples, |sample| f64::from(sample.hosts_up));
    let least = points(samples, |sample| f64::from(sample.members_alive_min));
    let most = points(samples, |sample| f64::from(sample.members_alive_max));
    let (low, high) = match up.iter().chain(&least).map(|(_, value)| *value).reduce(f64::min) {
        Some(low) => (low, highest(&up).max(highest(&most))),
        None => return None,
    };
    // Few deaths among many would not be seen above zero.
    let cut = low > 0.5 * high;
    let floor = if cut { (low - 0.15 * (high - low)).floor() - 1.0 } else { 0.0 };
    Some(Panel {
        title: "membership",
        note: if cut { "axis does not start at zero".to_owned() } else { String::new() },
        keys: vec![
            Key { label: "hosts up", mark: Mark::Line(INK) },
            Key { label: "seen alive by peers: fewest to most", mark: Mark::Area(BLUE, 0.35) },
            Key { label: "joint layout", mark: Mark::Area(PURPLE, 1.0) },
        ],
        height: 90.0,
        draw: Box::new(move |svg, frame| {
            let scale = Scale::new(frame, floor.max(0.0), high, Unit::Count);
            scale.grid(svg);
            svg.path(&band(&least, &most, frame, scale), &format!(r#"fill="{BLUE}" fill-opacity="0.35""#));
            let edge = format!(r#"fill="none" stroke="{BLUE}" stroke-opacity="0.7""#);
            svg.path(&steps(&least, frame, scale), &edge);
            svg.path(&steps(&most, frame, scale), &edge);
            svg.path(&steps(&up, frame, scale), &format!(r#"fill="none" stroke="{INK}" stroke-width="1.6""#));
            layouts(scene, svg, frame);
        }),
    })
}

/// Along the bottom: joint times as bars, each version's number where it begins.
fn layouts(scene: &Scene<'_>, svg: &mut Svg, frame: Frame) {
    let samples = &scene.samples;
    let ends: Vec<Duration> = samples.iter().skip(1).map(|next| next.at).chain([frame.end]).collect();
    let mut bars: Vec<(Duration, Duration)> = Vec::new();
    for (sample, end) in samples.iter().zip(ends).filter(|(sample, _)| sample.layout_joint) {
        match bars.last_mut() {
            Some((_, to)) if *to == sample.at => *to = end,
            _ => bars.push((sample.at, end)),
        }
    }
    for (from, to) in bars {
        let (x, right) = (frame.x(from), frame.x(to));
        let width = (right - x).max(1.5);
        svg.rect((x, frame.bottom() - 5.0), (width, 5.0), &format!(r#"fill="{PURPLE}""#));
    }
    let mut free_from = frame.left;
    let mut version = None;
    for sample in samples {
        let changed = version.replace(sample.layout_version) != Some(sample.layout_version);
        let label = format!("layout {}", sample.layout_version);
        let x = frame.x(sample.at) + 3.0;
        let right = x + text_width(&label, 9.5);
        if changed && x >= free_from && right < frame.right() {
            let attributes = format!(
                r##"font-size="9.5" fill="{PURPLE}" stroke="#ffffff" stroke-width="2.5" paint-order="stroke""##
            );
            svg.text((x, frame.bottom() - 8.0), &attributes, &label);
            free_from = right + 4.0;
        }
    }
}

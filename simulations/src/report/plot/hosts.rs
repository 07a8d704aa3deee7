//! Who was alive: a strip for each host, or for some of one zone where there
//! are many.

use std::collections::BTreeMap;

use super::frame::Frame;
use super::palette::{FAINT, host};
use super::panel::{Key, Mark, Panel};
use super::svg::{Path, Svg};
use super::{Host, Scene};
use crate::report::units::{counted, shortened};
use crate::report::{HostSpan, HostState};

/// More hosts than this share strips.
const STRIPS_MAX: usize = 250;
/// Hosts with a group and a tooltip of their own.
const TITLED_MAX: usize = 100;
/// Zones that keep their strips apart.
const ZONES_MAX: usize = 50;
/// Steps of time that a strip distinguishes: somewhat more than a pixel each.
const BINS: usize = 900;
/// Dashes in all strips; with more, time gets coarser.
const DASHES_MAX: usize = 20_000;

/// A strip: hosts of one zone.
type Strip<'a> = Vec<&'a Host>;

/// Some bins of a strip that look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dash {
    first: usize,
    bins: usize,
    look: Look,
}

/// Up; or, over it, the state of most hosts that are not, and how many thirds of
/// all they are.
type Look = Option<(HostState, usize)>;

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    if scene.hosts.is_empty() {
        return None;
    }
    let strips = strips(&scene.hosts);
    let strip_height = match strips.len() {
        few @ ..=TITLED_MAX => (340.0 / few as f64).clamp(3.6, 15.0),
        many => (400.0 / many as f64).clamp(1.0, 2.0),
    };
    let shared = strips.iter().map(Vec::len).max().unwrap_or(1);
    let states = [HostState::Up, HostState::Paused, HostState::Cut, HostState::Down];
    let labels = ["up", "paused", "cut off", "down"];
    let seen = |state| state == HostState::Up || scene.report.hosts.iter().any(|span| span.state == state);
    let keys = states.into_iter().zip(labels).filter(|(state, _)| seen(*state));
    Some(Panel {
        title: "hosts",
        note: match shared {
            1 => String::new(),
            some => format!("{some} to a strip, darker where more of them are not up"),
        },
        keys: keys.map(|(state, label)| Key { label, mark: Mark::Area(host(state), 1.0) }).collect(),
        height: strip_height * strips.len() as f64,
        draw: Box::new(move |svg, frame| {
            draw_strips(scene, &strips, strip_height, svg, frame);
            draw_labels(&strips, strip_height, svg, frame);
        }),
    })
}

/// Hosts by zone, few enough to a strip that there are about [`STRIPS_MAX`].
fn strips(hosts: &[Host]) -> Vec<Strip<'_>> {
    let size = hosts.len().div_ceil(STRIPS_MAX);
    let zones = hosts.chunk_by(|a, b| a.zone == b.zone);
    if zones.clone().count() > ZONES_MAX {
        return hosts.chunks(size).map(|strip| strip.iter().collect()).collect();
    }
    zones.flat_map(|zone| zone.chunks(size)).map(|strip| strip.iter().collect()).collect()
}

fn draw_strips(scene: &Scene<'_>, strips: &[Strip<'_>], height: f64, svg: &mut Svg, frame: Frame) {
    let mut spans: BTreeMap<&str, Vec<&HostSpan>> = BTreeMap::new();
    for span in &scene.report.hosts {
        spans.entry(&span.peer).or_default().push(span);
    }
    let mut bins = BINS;
    let mut dashes: Vec<Vec<Dash>>;
    loop {
        dashes = strips.iter().map(|strip| dashes_of(strip, &spans, frame, bins)).collect();
        if bins < 50 || dashes.iter().map(Vec::len).sum::<usize>() <= DASHES_MAX {
            break;
        }
        bins /= 2;
    }
    let gap = match height {
        ..2.5 => 0.0,
        ..8.0 => 1.0,
        _ => 2.0,
    };
    let bin_width = frame.width / bins as f64;
    // Up goes first, the rest over it.
    let mut paths: BTreeMap<Look, Path> = BTreeMap::new();
    for (index, (strip, dashes)) in strips.iter().zip(&dashes).enumerate() {
        let y = frame.top + (index as f64 + 0.5) * height;
        for dash in dashes {
            let (x, length) = (frame.left + dash.first as f64 * bin_width, dash.bins as f64 * bin_width);
            paths.entry(dash.look).or_default().dash((x, y), length);
        }
        if strips.len() <= TITLED_MAX {
            svg.open("g", r#"class="host""#);
            for host in strip {
                svg.title(&format!("{}, {}", host.peer, host.zone));
            }
            draw_paths(&std::mem::take(&mut paths), height - gap, svg);
            svg.close("g");
        }
    }
    draw_paths(&paths, height - gap, svg);
}

fn draw_paths(paths: &BTreeMap<Look, Path>, stroke_width: f64, svg: &mut Svg) {
    for (look, path) in paths {
        let (state, thirds) = look.unwrap_or((HostState::Up, 3));
        let (colour, opacity) = (host(state), [0.0, 0.5, 0.75, 1.0][thirds.min(3)]);
        svg.path(
            path,
            &format!(r#"stroke="{colour}" stroke-opacity="{opacity}" stroke-width="{stroke_width:.1}" fill="none""#),
        );
    }
}

/// The dashes of a strip: where any of its hosts is, and over it where some are
/// not well. In a bin, a host is as bad as it ever was there.
fn dashes_of(strip: &[&Host], spans: &BTreeMap<&str, Vec<&HostSpan>>, frame: Frame, bins: usize) -> Vec<Dash> {
    let mut states = vec![[0usize; 4]; bins];
    for host in strip {
        let mut worst: Vec<Option<HostState>> = vec![None; bins];
        for span in spans.get(host.peer.as_str()).into_iter().flatten() {
            let bin = |at| (frame.x(at) - frame.left) / frame.width * bins as f64;
            let first = (bin(span.from) as usize).min(bins - 1);
            let last = (bin(span.to).ceil() as usize).clamp(first + 1, bins);
            for bin in &mut worst[first..last] {
                *bin = (*bin).max(Some(span.state));
            }
        }
        for (counts, state) in states.iter_mut().zip(worst) {
            if let Some(state) = state {
                counts[state as usize] += 1;
            }
        }
    }
    let present = states.iter().map(|counts| (counts.iter().sum::<usize>() > 0).then_some(None));
    let unwell = states.iter().map(|counts| {
        let (state, _) = [HostState::Paused, HostState::Cut, HostState::Down]
            .map(|state| (state, counts[state as usize]))
            .into_iter()
            .filter(|(_, hosts)| *hosts > 0)
            .max_by_key(|(state, hosts)| (*hosts, *state))?;
        let all: usize = counts.iter().sum();
        let ill = all - counts[HostState::Up as usize];
        Some(Some((state, (ill * 3).div_ceil(all))))
    });
    let mut dashes = runs(present);
    dashes.extend(runs(unwell));
    dashes
}

/// Stretches of bins that look the same; bins without a look are left out.
fn runs(looks: impl Iterator<Item = Option<Look>>) -> Vec<Dash> {
    let mut dashes: Vec<Dash> = Vec::new();
    for (bin, look) in looks.enumerate() {
        let Some(look) = look else { continue };
        match dashes.last_mut() {
            Some(dash) if dash.first + dash.bins == bin && dash.look == look => dash.bins += 1,
            _ => dashes.push(Dash { first: bin, bins: 1, look }),
        }
    }
    dashes
}

/// Names of peers where there is room, of zones where there are several.
fn draw_labels(strips: &[Strip<'_>], height: f64, svg: &mut Svg, frame: Frame) {
    let named = height >= 9.0;
    let small = format!(r#"font-size="10" text-anchor="end" fill="{FAINT}""#);
    if named {
        for (index, host) in strips.iter().enumerate().filter_map(|(index, strip)| Some((index, strip.first()?))) {
            let y = frame.top + (index as f64 + 0.5) * height + 3.5;
            svg.text((frame.left - 8.0, y), &small, &shortened(&host.peer, 12));
        }
    }
    let mut top = frame.top;
    let mut free_from = f64::MIN;
    for zone in strips.chunk_by(|a, b| a.first().map(|host| &host.zone) == b.first().map(|host| &host.zone)) {
        let bottom = top + height * zone.len() as f64;
        let name = zone.first().and_then(|strip| strip.first()).map_or("", |host| host.zone.as_str());
        let hosts: usize = zone.iter().map(Vec::len).sum();
        let y = (top + bottom) / 2.0 + 3.5;
        if named && y >= free_from {
            svg.text((10.0, y), &format!(r#"font-size="10" fill="{FAINT}""#), &shortened(name, 8));
            free_from = y + 11.0;
        } else if y >= free_from {
            let label = format!("{} ({})", shortened(name, 10), counted(hosts, "host"));
            svg.text((frame.left - 8.0, y), &small, &label);
            free_from = y + 11.0;
        }
        if bottom < frame.bottom() - 0.5 {
            svg.line((10.0, bottom), (frame.right(), bottom), r##"stroke="#8d979e" stroke-width="0.6""##);
        }
        top = bottom;
    }
}

//! The jobs: a bar for each, from its submission to its end.

use super::Scene;
use super::frame::Frame;
use super::palette::{INK, VERMILION, job};
use super::panel::Panel;
use super::svg::{Svg, text_width};
use crate::report::JobLine;
use crate::report::units::{counted, shortened, time};

/// Jobs with a bar of their own: the first.
const ROWS_MAX: usize = 12;
const ROW_HEIGHT: f64 = 16.0;

pub(super) fn panel<'a>(scene: &'a Scene<'_>) -> Option<Panel<'a>> {
    let jobs = &scene.report.jobs;
    let rows = jobs.len().min(ROWS_MAX);
    if rows == 0 {
        return None;
    }
    let more = match jobs.len() - rows {
        0 => String::new(),
        more => format!("and {} that are not shown", counted(more, "more job")),
    };
    Some(Panel {
        title: "jobs",
        note: more,
        keys: Vec::new(),
        height: ROW_HEIGHT * rows as f64 + 2.0,
        draw: Box::new(move |svg, frame| {
            for (index, line) in jobs.iter().take(rows).enumerate() {
                let y = frame.top + 1.0 + ROW_HEIGHT * index as f64;
                draw(line, job(index), y, svg, frame);
            }
        }),
    })
}

fn draw(line: &JobLine, colour: &str, y: f64, svg: &mut Svg, frame: Frame) {
    let end = line.makespan.map_or(frame.end, |makespan| line.submitted.saturating_add(makespan));
    let (x, right) = (frame.x(line.submitted), frame.x(end));
    let size = ((right - x).max(2.0), ROW_HEIGHT - 2.0);
    svg.rect((x, y + 1.0), size, &format!(r#"fill="{colour}" fill-opacity="0.3""#));
    svg.rect((x, y + 1.0), (4.0, ROW_HEIGHT - 2.0), &format!(r#"fill="{colour}""#));
    let took = line.makespan.map_or_else(|| "not ended".to_owned(), time);
    let again = if line.reruns > 0 { format!(", {} again", line.reruns) } else { String::new() };
    let wrong = line.right == Some(false);
    let verdict = if wrong { ", WRONG ANSWER" } else { "" };
    let tasks = counted(usize::try_from(line.tasks).unwrap_or(usize::MAX), "task");
    let title = shortened(&line.title, 48);
    let label = format!("{}: {title} ({took}, {tasks}{again}, {}{verdict})", line.job, line.state);
    let width = text_width(&label, 10.5);
    let base = y + 12.0;
    let ink = if wrong { VERMILION } else { INK };
    let attributes = format!(r#"font-size="10.5" fill="{ink}""#);
    // In the bar, or where there is room beside it.
    if x + 8.0 + width <= right || right + width + 6.0 > frame.right() && x - width < frame.left {
        svg.text((x + 8.0, base), &attributes, &label);
    } else if right + width + 6.0 <= frame.right() {
        svg.text((right + 6.0, base), &attributes, &label);
    } else {
        svg.text((x - 6.0, base), &format!(r#"{attributes} text-anchor="end""#), &label);
    }
}

//! Colours that the colour-blind tell apart, after Okabe and Ito (2008).

use crate::report::HostState;

pub(super) const INK: &str = "#1f2328";
pub(super) const FAINT: &str = "#667078";
pub(super) const GRID: &str = "#e3e6e8";
pub(super) const GROUND: &str = "#fafbfb";
/// Attributes of a text that stays legible over lines.
pub(super) const HALO: &str = r##"stroke="#ffffff" stroke-width="3" paint-order="stroke" stroke-linejoin="round""##;
pub(super) const BLUE: &str = "#0072b2";
pub(super) const ORANGE: &str = "#e69f00";
pub(super) const VERMILION: &str = "#d55e00";
pub(super) const GREEN: &str = "#009e73";
pub(super) const PURPLE: &str = "#a3548a";
pub(super) const SKY: &str = "#56b4e9";

/// Jobs take turns. Vermilion is left to what went wrong.
const JOBS: [&str; 7] = [BLUE, ORANGE, GREEN, "#cc79a7", SKY, "#8a6d3b", "#5b5ea6"];

pub(super) fn job(index: usize) -> &'static str {
    JOBS[index % JOBS.len()]
}

pub(super) fn host(state: HostState) -> &'static str {
    match state {
        // Pale: what is well should not shout.
        HostState::Up => "#b9dfd2",
        HostState::Paused => ORANGE,
        HostState::Cut => BLUE,
        HostState::Down => "#2f363c",
    }
}

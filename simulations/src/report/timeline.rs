//! The notable moments of a run, in their order.

use std::time::Duration;

use super::units::{counted, time};
use super::{Report, Sample};

/// What a moment is about, from the least to the most worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Layout,
    Fault,
    Job,
    Whole,
    Violation,
}

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub at: Duration,
    pub subject: Subject,
    pub what: String,
}

/// Moments, and how many of them found no room.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Timeline {
    pub moments: Vec<Moment>,
    pub left_out: usize,
}

impl Report {
    /// At most `lines` moments. If there are more, those that matter least give
    /// way, evenly over time.
    pub(super) fn timeline(&self, lines: usize) -> Timeline {
        let mut moments = self.moments();
        let all = moments.len();
        for subject in [Subject::Layout, Subject::Fault, Subject::Job, Subject::Whole, Subject::Violation] {
            let excess = moments.len().saturating_sub(lines);
            thin(&mut moments, subject, excess);
        }
        Timeline { left_out: all - moments.len(), moments }
    }

    fn moments(&self) -> Vec<Moment> {
        let mut moments = layout_moments(&self.samples);
        let mut add = |at, subject, what| moments.push(Moment { at, subject, what });
        for fault in &self.faults {
            add(fault.at, Subject::Fault, fault.what.clone());
            if let Some(until) = fault.until {
                add(until, Subject::Fault, format!("over: {}", fault.what));
            }
        }
        for job in &self.jobs {
            add(job.submitted, Subject::Job, format!("{} submitted: {}", job.job, job.title));
            if let Some(makespan) = job.makespan {
                let wrong = if job.right == Some(false) { ", WRONG ANSWER" } else { "" };
                let what = format!("{} {} after {}{wrong}", job.job, job.state, time(makespan));
                add(job.submitted.saturating_add(makespan), Subject::Job, what);
            }
        }
        if let (Some(at), Some(after)) = (self.healed_at(), self.healed_after) {
            add(at, Subject::Whole, format!("whole again, {} after the last fault", time(after)));
        }
        for violation in &self.violations {
            add(violation.at, Subject::Violation, format!("VIOLATION of {}", violation.invariant));
        }
        moments.sort_by_key(|moment| moment.at);
        moments
    }
}

fn layout_moments(samples: &[Sample]) -> Vec<Moment> {
    let changed = |pair: &&[Sample]| {
        (pair[0].layout_version, pair[0].layout_joint) != (pair[1].layout_version, pair[1].layout_joint)
    };
    let moment = |pair: &[Sample]| {
        let after = &pair[1];
        let kind = if after.layout_joint { "joint" } else { "settled" };
        let members = match (after.members_alive_min, after.members_alive_max) {
            (min, max) if min == max => counted(max as usize, "peer"),
            (min, max) => format!("{min} to {max} peers"),
        };
        Moment {
            at: after.at,
            subject: Subject::Layout,
            what: format!("layout {} ({kind}), {members} seen alive", after.layout_version),
        }
    };
    samples.windows(2).filter(changed).map(moment).collect()
}

/// Takes out `excess` moments about `subject`, or all that there are.
fn thin(moments: &mut Vec<Moment>, subject: Subject, excess: usize) {
    let there = moments.iter().filter(|moment| moment.subject == subject).count();
    let kept = there.saturating_sub(excess);
    let mut seen = 0;
    moments.retain(|moment| {
        if moment.subject != subject {
            return true;
        }
        // True `kept` times in `there`, evenly spread.
        let keep = (seen + 1) * kept / there > seen * kept / there;
        seen += 1;
        keep
    });
}

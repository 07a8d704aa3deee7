//! A run that violates something is made small.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use shoal_sim::{Report, Shrunk, Simulation, Span, shrink};

use super::progress::{Progress, on_thread};
use crate::failure::Failure;
use crate::stdout;

#[derive(Debug, Args)]
pub(super) struct ShrinkArgs {
    /// How long to look for a smaller run that violates the same, in real time.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    shrink: Span,

    /// Leave a run that violates something as it is.
    #[arg(long, conflicts_with = "shrink")]
    no_shrink: bool,
}

/// What came of it, for people and programs.
pub(super) struct Smaller(Shrunk);

impl ShrinkArgs {
    /// Makes a run small that violates something; nothing to do else.
    pub(super) async fn shrink(&self, simulation: &Simulation, report: &Report) -> Result<Option<Smaller>, Failure> {
        if report.holds() || self.no_shrink {
            return Ok(None);
        }
        let Span(budget) = self.shrink;
        eprintln!("shrinking for up to {} s; --no-shrink leaves it as it is", budget.as_secs());
        let (simulation, report) = (simulation.clone(), report.clone());
        let shrunk = on_thread(move || shrunk(&simulation, &report, budget)).await??;
        Ok(Some(Smaller(shrunk)))
    }
}

fn shrunk(simulation: &Simulation, report: &Report, budget: Duration) -> shoal_types::Result<Shrunk> {
    let progress = Progress::new();
    let mut told = None;
    shrink(simulation, report, budget, |step| {
        progress.shrinking(step);
        if told.replace(step.size) != Some(step.size) {
            progress.line(&format!("  run {}: {}", step.runs, step.size));
        }
    })
}

impl Smaller {
    pub(super) fn print(&self) -> Result<(), Failure> {
        let Shrunk { report, before, after, runs, out_of_time, nondeterministic, .. } = &self.0;
        if let Some(violation) = nondeterministic {
            return stdout::line(format!("\n{} VIOLATED: {}", violation.invariant, violation.what));
        }
        let end = if *out_of_time { ", then the time was over" } else { "" };
        stdout::line(format!("\nshrunk in {runs} runs{end}\n  before  {before}\n  after   {after}\n"))?;
        stdout::line(report.to_table().trim_end())
    }

    pub(super) fn json(&self) -> Value {
        let Shrunk { report, before, after, runs, out_of_time, nondeterministic, .. } = &self.0;
        json!({
            "runs": runs,
            "out_of_time": out_of_time,
            "nondeterministic": nondeterministic,
            "before": before,
            "after": after,
            "trace": report.trace,
            "violations": report.violations,
        })
    }
}

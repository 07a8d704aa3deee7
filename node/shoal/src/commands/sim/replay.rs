use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use shoal_sim::Replay;

use super::options::{load, usage};
use super::{progress, verdict};
use crate::failure::Failure;
use crate::stdout;

/// Run the world of a line again, to the same event: what a violation prints.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal sim replay 'scenario=swarm seed=42'
  shoal sim replay 'scenario=mine.toml seed=42 peers=7 duration=34s faults=3,5 trace=5f1c0a2b9d3e4f60' --verbose

Words of a line: scenario, seed, peers, duration, lose, job, jobs, clients, data, faults, trace.")]
pub(super) struct ReplayArgs {
    /// The line, in quotes or not.
    #[arg(required = true, value_name = "KEY=VALUE")]
    line: Vec<String>,

    /// Write a picture of the run: an SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,

    /// Tell the story on stderr as it happens.
    #[arg(short, long)]
    verbose: bool,

    /// JSON lines; the last is the verdict.
    #[arg(long)]
    json: bool,
}

impl ReplayArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let replay: Replay = self.line.join(" ").parse().map_err(usage)?;
        let mut simulation = load(&replay)?;
        simulation.aloud = self.verbose;
        let report = progress::run(&simulation).await?;
        if let Some(path) = &self.plot {
            verdict::plot(&report, path)?;
        }
        let same = replay.is_same_trace(&report.trace);
        if self.json {
            verdict::lines(&report, json!({ "same_trace": same }))?;
        } else {
            stdout::line(report.to_table().trim_end())?;
            match same {
                None => {}
                Some(true) => stdout::line("the same run: its trace is that of the line")?,
                Some(false) => stdout::line(
                    "ANOTHER RUN: its trace is not that of the line. Has the build, the scenario or the job changed?",
                )?,
            }
        }
        verdict::outcome(report.holds())
    }
}

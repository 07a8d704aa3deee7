use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::options::WorldArgs;
use super::shrinking::ShrinkArgs;
use super::{progress, verdict};
use crate::failure::Failure;
use crate::stdout;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    world: WorldArgs,

    #[command(flatten)]
    shrink: ShrinkArgs,

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

impl RunArgs {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let mut simulation = self.world.simulation()?;
        simulation.aloud = self.verbose;
        let report = progress::run(&simulation).await?;
        if let Some(path) = &self.plot {
            verdict::plot(&report, path)?;
        }
        if !self.json {
            stdout::line(report.to_table().trim_end())?;
        }
        let shrunk = self.shrink.shrink(&simulation, &report).await?;
        if self.json {
            verdict::lines(&report, json!({ "shrunk": shrunk.as_ref().map(|shrunk| shrunk.json()) }))?;
        } else if let Some(shrunk) = &shrunk {
            shrunk.print()?;
        }
        verdict::outcome(report.holds())
    }
}

mod disturb;
mod story;

use std::path::PathBuf;

use clap::Args;

use crate::commands::generate::parse_scale;
use crate::failure::Failure;
use crate::interrupt::interruptible;

/// Show the main thing: a mesh on this machine, a query on it, and a peer that is killed in the middle.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal demo
  shoal demo --sf 1 --peers 7
  shoal demo --text ~/notes")]
pub(crate) struct DemoArgs {
    /// The scale factor of the TPC-H data.
    #[arg(long, default_value_t = 0.2, value_parser = parse_scale)]
    sf: f64,

    /// Where the text for the word count comes from; by default text that is on every machine.
    #[arg(long, value_name = "DIR")]
    text: Option<PathBuf>,

    /// How many peers.
    #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(3..=32))]
    peers: u16,
}

impl DemoArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        interruptible(story::tell(self), async || {}).await
    }
}

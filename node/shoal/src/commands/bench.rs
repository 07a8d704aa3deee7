mod placement;
mod store;
mod text;
mod tpch;

use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::interrupt::interruptible;

/// Measure a mesh of peers on this machine against something on the same data in the same run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal bench tpch --sf 1 --versus datafusion
  shoal bench tpch --sf 1 --peers 3 --queries 1,6,9 --json
  shoal bench text --mb 256 --peers 3
  shoal bench placement
  shoal bench store --peers 1,3

Ratios are what counts: both sides are measured in turn, so that a busy machine slows both.")]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Tpch(tpch::TpchArgs),
    Text(text::TextArgs),
    Placement(placement::PlacementArgs),
    Store(store::StoreArgs),
}

impl BenchArgs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let work = async {
            match self.what {
                What::Tpch(args) => args.run().await,
                What::Text(args) => args.run().await,
                What::Placement(args) => args.run().await,
                What::Store(args) => args.run().await,
            }
        };
        interruptible(work, async || {}).await
    }
}

/// The middle of the times, in seconds. There is at least one.
fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

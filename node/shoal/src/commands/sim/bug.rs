//! A bug to be found, for tests of the simulator.

use clap::Args;
use shoal_sim::Replay;

#[derive(Debug, Args)]
pub(super) struct BugArgs {
    /// A bug of the runtime; only builds for tests have any.
    #[arg(long, hide = true, value_name = "NAME")]
    planted: Option<String>,

    /// A bug of the simulated engine: it mixes attempts.
    #[arg(long, hide = true)]
    mixes_attempts: bool,
}

impl BugArgs {
    pub(super) fn plant(&self, replay: &mut Replay) -> Result<(), crate::failure::Failure> {
        replay.mixes_attempts = self.mixes_attempts;
        if let Some(name) = &self.planted {
            let bug = name.parse().map_err(|error| crate::failure::Failure::usage(error, ""))?;
            replay.planted = Some(bug);
        }
        Ok(())
    }
}

use std::path::PathBuf;

use clap::Args;

use crate::failure::Failure;
use crate::home::{DIR_VAR, Home};
use crate::stdout;

/// Print the mesh's secret: whoever has it can join.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  shoal secret
  SHOAL_SECRET=$(ssh first-machine shoal secret) shoal up --join first-machine:7400")]
pub(crate) struct SecretArgs {
    /// The peer's data directory.
    #[arg(long, env = DIR_VAR, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl SecretArgs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let home = Home::locate(self.dir.as_deref())?;
        match home.kept_secret()? {
            Some(secret) => stdout::line(secret),
            None => Err(Failure::request(
                format!("there is no secret in '{}'", home.secret_file().display()),
                "the first 'shoal up' makes one; --dir names another peer's directory",
            )),
        }
    }
}

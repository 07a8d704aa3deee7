use clap::Args;

use crate::failure::Failure;
use crate::home::{DIR_VAR, Home};
use crate::invite::Invite;
use crate::stdout;

/// Print a line by which another machine joins the mesh.
#[derive(Debug, Args)]
#[command(after_help = "The line holds the mesh's secret: whoever has it can join. Pass it on as you would a password.

Examples:
  shoal invite                                   here, where a peer runs
  shoal up --invite                              there: asks for the line
  ssh other-machine 'shoal up --invite -' <<< $(shoal invite)")]
pub(crate) struct InviteArgs {
    /// The peer's data directory.
    #[arg(long, env = DIR_VAR, value_name = "DIR")]
    dir: Option<std::path::PathBuf>,
}

impl InviteArgs {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let home = Home::locate(self.dir.as_deref())?;
        let nobody = || {
            Failure::mesh(
                format!("no peer runs here: there is no '{}'", home.peer_file().display()),
                "an invite says where the mesh is: start a peer with shoal up, or name its directory with --dir",
            )
        };
        let peer = home.live().ok_or_else(nobody)?;
        if peer.listen.is_empty() {
            return Err(Failure::request(
                "this peer listens nowhere, so that nobody can join at it",
                "run shoal invite where another peer of the mesh runs",
            ));
        }
        let secret = home.kept_secret()?.ok_or_else(nobody)?;
        let invite = Invite { addresses: peer.listen, secret };
        let text = invite.to_text().map_err(|error| Failure::request(error, ""))?;
        stdout::line(text)
    }
}

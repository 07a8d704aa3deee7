//! Which peer a client's command asks.

use std::path::PathBuf;

use clap::Args;
use shoal_gateway::Client;

use crate::failure::Failure;
use crate::home::Home;

/// Names the gateway of the peer to ask.
const PEER_VAR: &str = "SHOAL_PEER";

/// How a command finds its peer. The environment is read when there is need of
/// it: what the parser reads from there it repeats in every usage that it shows.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Target {
    /// The gateway of the peer to ask; by default that of the peer that runs here. [env: SHOAL_PEER]
    #[arg(long, value_name = "HOST:PORT", help_heading = "Peer")]
    pub(crate) peer: Option<String>,

    /// The data directory of the peer that runs here. [env: SHOAL_DIR]
    #[arg(long, value_name = "DIR", help_heading = "Peer")]
    pub(crate) dir: Option<PathBuf>,
}

impl Target {
    /// The peer to ask; an error when none is named and none runs here.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        if let Some(client) = self.named()? {
            return Ok(client);
        }
        let home = Home::locate(self.dir.as_deref())?;
        match home.announced() {
            Some(peer) => Ok(Client::new(&peer.gateway)?),
            None => Err(Failure::mesh(
                format!("no peer runs here: there is no '{}'", home.peer_file().display()),
                "start one with: shoal up, or name one with --peer HOST:PORT",
            )),
        }
    }

    /// The peer to ask, if one is named or runs here. One that is named is
    /// meant, even when it does not answer.
    pub(crate) fn client_if_any(&self) -> Result<Option<Client>, Failure> {
        if let Some(client) = self.named()? {
            return Ok(Some(client));
        }
        match Home::locate(self.dir.as_deref()).ok().and_then(|home| home.live()) {
            Some(peer) => Ok(Some(Client::new(&peer.gateway)?)),
            None => Ok(None),
        }
    }

    fn named(&self) -> Result<Option<Client>, Failure> {
        let peer = self.peer.clone().or_else(|| std::env::var(PEER_VAR).ok());
        match peer.as_deref().map(str::trim).filter(|peer| !peer.is_empty()) {
            Some(peer) => {
                let client = Client::new(peer).map_err(|error| Failure::usage(&error, error.hint()))?;
                Ok(Some(client))
            }
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_peer_is_asked_before_the_one_that_runs_here() {
        let target = Target { peer: Some("127.0.0.1:9".into()), dir: Some("/no/such/dir".into()) };
        assert_eq!(target.client().unwrap().address(), "127.0.0.1:9");
        assert_eq!(target.client_if_any().unwrap().unwrap().address(), "127.0.0.1:9");
    }

    #[test]
    fn no_peer_anywhere_is_a_trouble_of_the_mesh_with_a_way_out() {
        let target = Target { peer: None, dir: Some("/no/such/dir".into()) };
        let Err(Failure::Told { code: 3, hint, .. }) = target.client() else { panic!("not told") };
        assert!(hint.contains("shoal up"), "{hint}");
        assert!(target.client_if_any().unwrap().is_none());
    }
}

use shoal_types::{Error, ErrorClass};

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no peer answers at {address}: {why}")]
    NoPeer { address: String, why: String },
    /// The peer went away before its answer was whole. Whether it did what
    /// was asked is unknown.
    #[error("the connection to the peer at {address} broke: {why}")]
    Cut { address: String, why: String },
    /// It is stopped, or its machine is: connections to it are taken, and
    /// nothing comes. Whether it did what was asked is unknown.
    #[error("the peer at {address} takes connections but does not answer")]
    Silent { address: String },
    /// Something answers, or is named, that is no gateway.
    #[error("'{address}': {what}")]
    Strange { address: String, what: String },
    /// The peer's own answer.
    #[error(transparent)]
    Shoal(#[from] Error),
}

impl ClientError {
    /// Whether what was asked may be in effect, or come to be.
    pub fn is_in_doubt(&self) -> bool {
        match self {
            Self::Cut { .. } | Self::Silent { .. } => true,
            Self::NoPeer { .. } | Self::Strange { .. } => false,
            Self::Shoal(error) => error.is_in_doubt(),
        }
    }

    /// Whether it is in doubt for good: asked for again it may be made twice.
    pub fn is_lost_sight_of(&self) -> bool {
        matches!(self, Self::Shoal(error) if error.is_lost_sight_of())
    }

    /// Whether it may be asked for again at once if it is in doubt: not where
    /// it [was lost sight of](Self::is_lost_sight_of), nor of a peer that has
    /// had long enough.
    pub fn may_be_asked_again(&self) -> bool {
        !self.is_lost_sight_of() && !matches!(self, Self::Silent { .. })
    }

    /// Whether the same may go well when it is asked for again.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NoPeer { .. } | Self::Cut { .. } => true,
            Self::Silent { .. } | Self::Strange { .. } => false,
            Self::Shoal(error) => error.class() == ErrorClass::Retry,
        }
    }

    /// What to do next; empty when there is nothing to say.
    pub fn hint(&self) -> String {
        match self {
            Self::NoPeer { .. } => "start one with: shoal up, or name another with --peer HOST:PORT".into(),
            Self::Cut { .. } => "see who is there with: shoal status; another peer can be asked with --peer".into(),
            Self::Silent { .. } => "look at that machine, or ask another peer with --peer HOST:PORT".into(),
            Self::Strange { .. } => "name a peer's gateway as --peer HOST:PORT; shoal up prints its own".into(),
            Self::Shoal(error) => error.hint(),
        }
    }

    /// Whether the peer is gone, so that another may be asked instead.
    pub fn is_peer_lost(&self) -> bool {
        match self {
            Self::NoPeer { .. } | Self::Cut { .. } | Self::Silent { .. } | Self::Shoal(Error::NotReady { .. }) => true,
            Self::Strange { .. } | Self::Shoal(_) => false,
        }
    }

    pub(super) fn from_http(address: &str, error: &reqwest::Error) -> Self {
        let address = address.to_owned();
        let why = root(error);
        if error.is_connect() {
            Self::NoPeer { address, why }
        } else if error.is_timeout() {
            // It has heard the question, and may do what it asks for.
            Self::Cut { address, why: "it took too long".into() }
        } else {
            Self::Cut { address, why }
        }
    }
}

/// The innermost cause: the outer layers repeat the address.
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Once it counted as if nobody were there: a copy that the peer went on
    /// with was told to have failed for certain, and was not asked for again.
    #[tokio::test]
    async fn what_a_peer_was_asked_and_took_too_long_for_may_be_in_effect() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let asked = reqwest::Client::new().get(format!("http://{address}")).timeout(Duration::from_millis(50));
        let error = ClientError::from_http(&address, &asked.send().await.unwrap_err());
        assert!(error.is_in_doubt() && error.to_string().contains("it took too long"), "{error}");
        drop(silent);
        let error = reqwest::Client::new().get(format!("http://{address}")).send().await.unwrap_err();
        assert!(!ClientError::from_http(&address, &error).is_in_doubt());
    }
}

use shoal_types::Error;

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
            Self::Cut { .. } => true,
            Self::NoPeer { .. } | Self::Strange { .. } => false,
            Self::Shoal(error) => error.is_in_doubt(),
        }
    }

    /// What to do next; empty when there is nothing to say.
    pub fn hint(&self) -> String {
        match self {
            Self::NoPeer { .. } => "start one with: shoal up, or name another with --peer HOST:PORT".into(),
            Self::Cut { .. } => "see who is there with: shoal status; another peer can be asked with --peer".into(),
            Self::Strange { .. } => "name a peer's gateway as --peer HOST:PORT; shoal up prints its own".into(),
            Self::Shoal(error) => error.hint(),
        }
    }

    /// Whether the peer is gone, so that another may be asked instead.
    pub fn is_peer_lost(&self) -> bool {
        matches!(self, Self::NoPeer { .. } | Self::Cut { .. } | Self::Shoal(Error::NotReady { .. }))
    }

    pub(super) fn from_http(address: &str, error: &reqwest::Error) -> Self {
        let address = address.to_owned();
        let why = root(error);
        if error.is_connect() {
            Self::NoPeer { address, why }
        } else if error.is_timeout() {
            Self::NoPeer { address, why: "it took too long".into() }
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

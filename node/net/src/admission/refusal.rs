use std::fmt;

/// Why a connection is not admitted, as one end tells the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Refusal {
    WrongSecret,
    TooManyPeers,
    /// There is a link already.
    Duplicate,
    /// A later start of the same peer is linked.
    Stale,
    /// A bulk link without a control link.
    NoControl,
    Malformed,
    Stopping,
}

impl Refusal {
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::WrongSecret => 1,
            Self::TooManyPeers => 2,
            Self::Duplicate => 3,
            Self::Stale => 4,
            Self::NoControl => 5,
            Self::Malformed => 6,
            Self::Stopping => 7,
        }
    }

    pub(super) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::WrongSecret),
            2 => Some(Self::TooManyPeers),
            3 => Some(Self::Duplicate),
            4 => Some(Self::Stale),
            5 => Some(Self::NoControl),
            6 => Some(Self::Malformed),
            7 => Some(Self::Stopping),
            _ => None,
        }
    }
}

/// How admission ended without a link, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// This end refused.
    Here(Refusal),
    /// The other end refused.
    There(Refusal),
    OtherVersion {
        theirs: u16,
        ours: u16,
    },
    /// The other end's key is not of the kind that peers have.
    NoPeer,
    /// It did not speak, or stopped speaking.
    Silent,
    Lost(String),
}

impl Refused {
    /// Whether people should hear of it. What merely resolves two dials at
    /// once, or a peer that stops, is nobody's concern.
    pub(crate) const fn is_news(&self) -> bool {
        match self {
            Self::Here(refusal) | Self::There(refusal) => {
                !matches!(refusal, Refusal::Duplicate | Refusal::NoControl | Refusal::Stopping)
            }
            Self::OtherVersion { .. } | Self::NoPeer | Self::Silent | Self::Lost(_) => true,
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(Refusal::WrongSecret) => f.write_str("the secret is not this mesh's"),
            Self::There(Refusal::WrongSecret) => {
                f.write_str("the secret is not this mesh's: the other side has another one")
            }
            Self::Here(Refusal::TooManyPeers) => f.write_str("this peer has as many links as it may have"),
            Self::There(Refusal::TooManyPeers) => f.write_str("it has as many links as it may have"),
            Self::Here(Refusal::Duplicate) | Self::There(Refusal::Duplicate) => f.write_str("there is a link already"),
            Self::Here(Refusal::Stale) => {
                f.write_str("a process with the same identity that started later is linked already")
            }
            Self::There(Refusal::Stale) => f.write_str(
                "it knows a process with this peer's identity that started later; \
                 two processes must not share a data directory",
            ),
            Self::Here(Refusal::NoControl) | Self::There(Refusal::NoControl) => {
                f.write_str("the control link had gone before the bulk link came")
            }
            Self::Here(Refusal::Malformed) => f.write_str("it does not follow Shoal's admission protocol"),
            Self::There(Refusal::Malformed) => f.write_str("it says that this peer does not follow Shoal's protocol"),
            Self::Here(Refusal::Stopping) => f.write_str("this peer is stopping"),
            Self::There(Refusal::Stopping) => f.write_str("it is stopping"),
            Self::OtherVersion { theirs, ours } => write!(f, "it speaks protocol {theirs}, this peer {ours}"),
            Self::NoPeer => f.write_str("its key is not an ed25519 key, so it is no peer"),
            Self::Silent => f.write_str("it did not answer in time"),
            Self::Lost(why) => write!(f, "the connection broke during admission: {why}"),
        }
    }
}

//! How a command fails, and the exit code that says so.

use std::fmt::Display;
use std::process::ExitCode;

use shoal_gateway::ClientError;
use shoal_types::{Error, ErrorClass};

/// The request failed.
const REQUEST: u8 = 1;
/// The command was called wrongly. Clap's own errors have this code too.
const USAGE: u8 = 2;
/// No peer is reachable, or the mesh is in trouble.
const MESH: u8 = 3;
/// Not everything has all of its copies, or they are not whole.
const COPIES: u8 = 4;
/// 128 and a signal's number, as shells count.
const SIGNALLED: u8 = 128;

/// Why a command ends otherwise than well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// To be told, with a hint that may be empty.
    Told { code: u8, message: String, hint: String },
    /// Everything has been said, or nobody listens.
    Silent(u8),
}

impl Failure {
    /// What was asked for cannot be done.
    pub(crate) fn request(message: impl Display, hint: impl Display) -> Self {
        Self::Told { code: REQUEST, message: message.to_string(), hint: hint.to_string() }
    }

    /// The command line makes no sense.
    pub(crate) fn usage(message: impl Display, hint: impl Display) -> Self {
        Self::Told { code: USAGE, message: message.to_string(), hint: hint.to_string() }
    }

    /// There is no mesh to ask, or it cannot answer.
    pub(crate) fn mesh(message: impl Display, hint: impl Display) -> Self {
        Self::Told { code: MESH, message: message.to_string(), hint: hint.to_string() }
    }

    /// Copies are missing or bad, which has been said.
    pub(crate) fn copies() -> Self {
        Self::Silent(COPIES)
    }

    /// A signal ended it.
    pub(crate) fn signalled(signal: i32) -> Self {
        Self::Silent(SIGNALLED.wrapping_add(u8::try_from(signal).unwrap_or(0)))
    }

    /// Something with a file or directory.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::request(format!("cannot {doing} '{}': {error}", path.display()), "")
    }

    /// The same, said of one thing among many: its name comes first where it
    /// is not mentioned.
    pub(crate) fn about(self, thing: impl Display) -> Self {
        match self {
            Self::Told { code, message, hint } => {
                let thing = thing.to_string();
                let message = if message.contains(&thing) { message } else { format!("{thing}: {message}") };
                Self::Told { code, message, hint }
            }
            silent @ Self::Silent(_) => silent,
        }
    }

    /// The same, with another hint.
    pub(crate) fn hinting(self, hint: impl Display) -> Self {
        match self {
            Self::Told { code, message, .. } => Self::Told { code, message, hint: hint.to_string() },
            silent @ Self::Silent(_) => silent,
        }
    }

    /// Whether the mesh is at fault rather than what was asked of it.
    pub(crate) fn is_of_the_mesh(&self) -> bool {
        matches!(self, Self::Told { code: MESH, .. })
    }

    /// Whether the command was called wrongly.
    pub(crate) fn is_of_usage(&self) -> bool {
        matches!(self, Self::Told { code: USAGE, .. })
    }

    /// Says it on stderr, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Told { code, message, hint } => {
                eprintln!("error: {message}");
                if !hint.is_empty() {
                    eprintln!("hint: {hint}");
                }
                ExitCode::from(*code)
            }
            Self::Silent(code) => ExitCode::from(*code),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.class() {
            ErrorClass::User | ErrorClass::Bug => REQUEST,
            ErrorClass::Retry => MESH,
        };
        Self::Told { code, message: error.to_string(), hint: error.hint() }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Shoal(error) => error.into(),
            error => Self::mesh(&error, error.hint()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_types::PeerId;

    fn code(failure: Failure) -> u8 {
        match failure {
            Failure::Told { code, .. } | Failure::Silent(code) => code,
        }
    }

    #[test]
    fn the_exit_code_tells_a_wrong_request_from_a_mesh_in_trouble() {
        assert_eq!(code(Error::invalid("x", "").into()), 1);
        assert_eq!(code(Error::NotReady { peer: PeerId::from_bytes([0; 32]), why: "x".into() }.into()), 3);
        assert_eq!(code(ClientError::Shoal(Error::not_found("x", "")).into()), 1);
        assert_eq!(code(ClientError::NoPeer { address: "a".into(), why: "b".into() }.into()), 3);
        assert_eq!(code(Failure::signalled(2)), 130);
    }

    #[test]
    fn one_among_many_is_named_once() {
        let about = |message: &str| match Failure::mesh(message, "").about("b/x") {
            Failure::Told { message, .. } => message,
            Failure::Silent(_) => panic!("silent"),
        };
        assert_eq!(about("it took too long"), "b/x: it took too long");
        assert_eq!(about("there is no object 'b/x'"), "there is no object 'b/x'");
    }
}

//! The line by which another machine joins: where the mesh is, and its secret.
//!
//! ```text
//!   shoal-invite-1-BASE64URL(postcard(addresses, secret), first 4 bytes of its BLAKE3)
//! ```

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use shoal_net::Secret;

use crate::failure::Failure;

/// How an invite begins.
pub(crate) const MARK: &str = "shoal-invite-1-";

/// No longer line is read, in bytes: 16 addresses of 260 bytes, and a secret.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 10;

/// Addresses in one invite.
const ADDRESSES_MAX: usize = 16;

const CHECK_BYTES: usize = 4;

/// What another machine needs to join. Whoever has it can.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Invite {
    /// Where peers of the mesh are, as `HOST:PORT`.
    pub(crate) addresses: Vec<String>,
    pub(crate) secret: String,
}

/// What a file says that holds an invite.
pub(crate) fn read_file(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|error| {
        Failure::usage(
            format!("'{}' is neither an invite nor a file that holds one: {error}", path.display()),
            "'shoal invite' prints one where a peer runs",
        )
    })?;
    let mut text = String::new();
    file.take(TEXT_BYTES_MAX as u64 + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::file("read", path, &error))?;
    Ok(text)
}

impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Invite {
    /// The line to be pasted.
    pub(crate) fn to_text(&self) -> Result<String, String> {
        let addresses: Vec<String> = self.addresses.iter().take(ADDRESSES_MAX).cloned().collect();
        let mut bytes = postcard::to_stdvec(&Self { addresses, secret: self.secret.clone() })
            .map_err(|error| format!("an invite does not encode: {error}"))?;
        let check = blake3::hash(&bytes);
        bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
        Ok(format!("{MARK}{}", BASE64URL_NOPAD.encode(&bytes)))
    }
}

impl FromStr for Invite {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let body = text.strip_prefix(MARK).ok_or("it does not begin as an invite does; 'shoal invite' prints one")?;
        let torn = || "it is not whole; copy all of the line that 'shoal invite' printed".to_owned();
        if text.len() > TEXT_BYTES_MAX {
            return Err("it is too long for an invite".into());
        }
        let bytes = BASE64URL_NOPAD.decode(body.as_bytes()).map_err(|_| torn())?;
        let (bytes, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or_else(torn)?;
        if blake3::hash(bytes).as_bytes()[..CHECK_BYTES] != *check {
            return Err(torn());
        }
        let (invite, rest) = postcard::take_from_bytes::<Self>(bytes).map_err(|_| torn())?;
        if !rest.is_empty() || invite.addresses.len() > ADDRESSES_MAX {
            return Err(torn());
        }
        Secret::from_text(&invite.secret).map_err(|error| error.to_string())?;
        Ok(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            addresses: vec!["192.168.1.5:7400".into(), "[2001:db8::1]:7400".into()],
            secret: "a secret of thirty-two characters".into(),
        }
    }

    #[test]
    fn an_invite_reads_back_as_it_was_and_is_one_word() {
        let text = invite().to_text().unwrap();
        assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'), "{text}");
        assert_eq!(text.parse::<Invite>(), Ok(invite()));
        assert_eq!(format!("  {text}\n").parse::<Invite>(), Ok(invite()));
    }

    #[test]
    fn what_was_mistyped_or_cut_off_is_told() {
        let text = invite().to_text().unwrap();
        for end in 0..text.len() {
            assert!(text[..end].parse::<Invite>().is_err());
        }
        for at in MARK.len()..text.len() {
            let mut other = text.clone().into_bytes();
            other[at] = if other[at] == b'A' { b'B' } else { b'A' };
            assert!(String::from_utf8(other).unwrap().parse::<Invite>().is_err(), "at {at}");
        }
        assert!("x".repeat(TEXT_BYTES_MAX * 2).parse::<Invite>().is_err());
    }

    #[test]
    fn its_secret_is_not_printed_by_accident() {
        assert!(!format!("{:?}", invite()).contains("thirty"));
    }
}

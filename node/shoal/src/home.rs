//! A peer's directory: its identity, the mesh's secret, its store, and while
//! it runs, where it can be reached.
//!
//! ```text
//!   DIR/identity    the peer's key: 32 bytes, readable by its owner alone
//!   DIR/secret      the mesh's secret, likewise
//!   DIR/chunks/ …   the store: chunks, registers, and the lock of the process that uses them
//!   DIR/spill/      what does not fit into memory; emptied at every start
//!   DIR/peer.json   while the peer runs: pid, id, gateway, listen
//! ```

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shoal_net::Secret;
use shoal_ports::Rng;
use shoal_types::{Layout, SecretText};

use crate::failure::Failure;
use crate::invite::Invite;
use crate::system::OsRng;

/// The environment variable that names the directory.
pub(crate) const DIR_VAR: &str = "SHOAL_DIR";
/// The environment variable that holds the mesh's secret.
pub(crate) const SECRET_VAR: &str = "SHOAL_SECRET";

/// The longest secret or `peer.json` that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// How long a live gateway on this machine may take to take a connection.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(500);

/// The directory of a peer.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    dir: PathBuf,
}

/// What a running peer says of itself in `peer.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerFile {
    pub(crate) pid: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    /// Its gateway, as `HOST:PORT`.
    pub(crate) gateway: String,
    /// Where other peers reach it, as `HOST:PORT`.
    pub(crate) listen: Vec<String>,
}

impl Home {
    /// `dir`, or else the user's own: `$XDG_DATA_HOME/shoal` or
    /// `~/.local/share/shoal`.
    pub(crate) fn locate(dir: Option<&Path>) -> Result<Self, Failure> {
        let var = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let dir = dir.map(Path::to_path_buf).or_else(|| var(DIR_VAR));
        let dir = dir.or_else(|| var("XDG_DATA_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("shoal")));
        let dir = dir.or_else(|| var("HOME").map(|home| home.join(".local/share/shoal")));
        dir.map(|dir| Self { dir }).ok_or_else(|| {
            Failure::usage("there is no home directory to keep data in", "name one: --dir DIR, or SHOAL_DIR")
        })
    }

    /// Makes the directory, for its owner alone.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(|error| Failure::file("make the directory", &self.dir, &error))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether commands look here if nothing is said.
    pub(crate) fn is_default(&self) -> bool {
        Self::locate(None).is_ok_and(|home| home.dir == self.dir)
    }

    pub(crate) fn spill(&self) -> PathBuf {
        self.dir.join("spill")
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.dir.join("secret")
    }

    /// The peer's key, drawn at the first start.
    pub(crate) fn identity(&self) -> Result<[u8; 32], Failure> {
        let path = self.dir.join("identity");
        if let Some(bytes) = read_bounded(&path)? {
            return <[u8; 32]>::try_from(bytes).map_err(|bytes| {
                Failure::request(
                    format!("'{}' is not an identity: it has {} bytes, not 32", path.display(), bytes.len()),
                    "restore it from a copy; or remove it, and the peer comes back as a new one",
                )
            });
        }
        let identity = OsRng::key::<32>()?;
        write_private(&path, &identity)?;
        Ok(identity)
    }

    /// The secret kept here, if one is.
    pub(crate) fn kept_secret(&self) -> Result<Option<String>, Failure> {
        read_secret(&self.secret_file())
    }

    /// The mesh's secret: from the environment, a file that is named, an
    /// invite, or the directory. It is kept in the directory, so that the next start needs
    /// nothing. Where there is none a new one is drawn, unless the peer is to
    /// `join` a mesh: that has one already.
    pub(crate) fn secret(&self, file: Option<&Path>, invite: Option<&Invite>, joins: bool) -> Result<String, Failure> {
        let kept = self.kept_secret()?;
        let given = match (std::env::var(SECRET_VAR).ok().filter(|secret| !secret.trim().is_empty()), file) {
            (Some(secret), _) => Some(secret.trim().to_owned()),
            (None, None) if invite.is_some() => invite.map(|invite| invite.secret.clone()),
            (None, Some(file)) => Some(read_secret(file)?.ok_or_else(|| {
                Failure::usage(
                    format!("there is no secret in '{}'", file.display()),
                    "shoal secret prints a peer's own",
                )
            })?),
            (None, None) => None,
        };
        let secret = match (given, &kept) {
            (Some(given), _) => given,
            (None, Some(kept)) => return Ok(kept.clone()),
            (None, None) if joins => {
                return Err(Failure::usage(
                    "to join a mesh, its secret is needed",
                    "run 'shoal invite' where a peer of it runs, and here: shoal up --invite",
                ));
            }
            (None, None) => {
                let random = OsRng::new()?;
                Secret::generate(&mut |bytes| random.fill(bytes))
            }
        };
        // One that will be refused is not kept.
        Secret::from_text(&secret)?;
        if kept.as_ref() != Some(&secret) {
            write_private(&self.secret_file(), format!("{secret}\n").as_bytes())?;
        }
        Ok(secret)
    }

    /// Keeps the secret that the mesh has now.
    pub(crate) fn keep_secret(&self, secret: &SecretText) -> Result<(), Failure> {
        if self.kept_secret()?.as_deref() == Some(secret.reveal()) {
            return Ok(());
        }
        write_private(&self.secret_file(), format!("{}\n", secret.reveal()).as_bytes())
    }

    /// Copies of each chunk in its mesh, where a build before has kept them
    /// here: up to version 6 of the wire protocol, the layout did not say.
    pub(crate) fn former_replicas(&self) -> Result<Option<u32>, Failure> {
        let path = self.replicas_file();
        let Some(bytes) = read_bounded(&path)? else { return Ok(None) };
        let kept = String::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
        let kept = kept.filter(|kept| (1..=Layout::REPLICAS_MAX).contains(kept));
        kept.map(Some).ok_or_else(|| {
            Failure::request(
                format!("{} does not hold a number", path.display()),
                "write into it what the other peers of the mesh have: as many copies of each chunk as --replicas says",
            )
        })
    }

    /// The layout says it from now on.
    pub(crate) fn forget_former_replicas(&self) -> Result<(), Failure> {
        let path = self.replicas_file();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::file("remove", &path, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn replicas_file(&self) -> PathBuf {
        self.dir.join("replicas")
    }

    /// Says where the running peer is.
    pub(crate) fn announce(&self, peer: &PeerFile) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(peer)
            .map_err(|error| Failure::request(format!("cannot write peer.json: {error}"), ""))?;
        write_private(&self.peer_file(), &text)
    }

    /// Takes back what this process announced.
    pub(crate) fn retract(&self) {
        if self.announced().is_some_and(|peer| peer.pid == std::process::id()) {
            // Left behind, the file only names a process that is gone.
            let _ = fs::remove_file(self.peer_file());
        }
    }

    /// What the peer here announced; it may be gone by now.
    pub(crate) fn announced(&self) -> Option<PeerFile> {
        let bytes = read_bounded(&self.peer_file()).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// The peer here, if its gateway takes connections.
    pub(crate) fn live(&self) -> Option<PeerFile> {
        let peer = self.announced()?;
        let address: SocketAddr = peer.gateway.parse().ok()?;
        TcpStream::connect_timeout(&address, CONNECT_TIME_MAX).ok().map(|_| peer)
    }

    pub(crate) fn peer_file(&self) -> PathBuf {
        self.dir.join("peer.json")
    }
}

fn read_secret(path: &Path) -> Result<Option<String>, Failure> {
    let Some(bytes) = read_bounded(path)? else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::request(format!("the secret in '{}' is not text", path.display()), ""))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// A small file's bytes; `None` when there is none.
fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Failure::file("open", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| Failure::file("read", path, &error))?;
    Ok(Some(bytes))
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let fail = |error: std::io::Error| Failure::file("write", path, &error);
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let written =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        fail(error)
    })?;
    // The name is durable once its directory is; a key that a crash takes
    // back would make the peer a stranger to its mesh.
    match path.parent() {
        Some(dir) => File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(&dir.path().join("peer"))).unwrap();
        home.create().unwrap();
        (dir, home)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn identity_and_secret_are_the_same_at_every_start_and_the_owners_alone() {
        let (_guard, home) = home();
        let identity = home.identity().unwrap();
        assert_eq!(home.identity().unwrap(), identity);
        let secret = home.secret(None, None, false).unwrap();
        assert!(secret.len() >= 32, "{} characters", secret.len());
        assert_eq!(home.secret(None, None, true).unwrap(), secret);
        assert_eq!(mode(&home.secret_file()), 0o600);
        assert_eq!(mode(&home.dir().join("identity")), 0o600);
        assert_eq!(mode(home.dir()), 0o700);
    }

    #[test]
    fn the_number_of_copies_that_a_build_before_kept_is_read_and_a_torn_one_is_told() {
        let (_dir, home) = home();
        assert_eq!(home.former_replicas().unwrap(), None);
        fs::write(home.replicas_file(), "1\n").unwrap();
        assert_eq!(home.former_replicas().unwrap(), Some(1));
        for torn in ["", "x", "0", "8"] {
            fs::write(home.replicas_file(), torn).unwrap();
            let Err(Failure::Told { message, .. }) = home.former_replicas() else { panic!("it is taken") };
            assert!(message.contains("does not hold a number"), "{message}");
        }
        home.forget_former_replicas().unwrap();
        home.forget_former_replicas().unwrap();
        assert_eq!(home.former_replicas().unwrap(), None);
    }

    #[test]
    fn joining_without_a_secret_is_refused_rather_than_given_a_new_one() {
        let (_guard, home) = home();
        assert!(matches!(home.secret(None, None, true), Err(Failure::Told { code: 2, .. })));
        assert_eq!(home.kept_secret().unwrap(), None);
    }

    #[test]
    fn a_secret_from_a_file_is_kept() {
        let (guard, home) = home();
        let file = guard.path().join("given");
        fs::write(&file, "  a secret of a mesh \n").unwrap();
        assert_eq!(home.secret(Some(&file), None, true).unwrap(), "a secret of a mesh");
        assert_eq!(home.kept_secret().unwrap().as_deref(), Some("a secret of a mesh"));
    }

    #[test]
    fn a_torn_identity_is_told_and_not_replaced() {
        let (_guard, home) = home();
        fs::write(home.dir().join("identity"), b"short").unwrap();
        assert!(home.identity().is_err());
        assert_eq!(fs::read(home.dir().join("identity")).unwrap(), b"short");
    }

    #[test]
    fn a_peer_that_is_gone_is_not_taken_for_a_live_one() {
        let (_guard, home) = home();
        assert!(home.live().is_none());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = PeerFile {
            pid: std::process::id(),
            id: "x".into(),
            name: "n".into(),
            gateway: listener.local_addr().unwrap().to_string(),
            listen: vec![],
        };
        home.announce(&peer).unwrap();
        assert_eq!(home.live(), Some(peer));
        drop(listener);
        assert!(home.live().is_none());
        home.retract();
        assert!(home.announced().is_none());
    }
}

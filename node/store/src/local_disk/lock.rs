use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use shoal_types::{Error, Result};

pub(super) const FILE: &str = "lock";

/// Takes the directory for this process, until the file is dropped or the
/// process ends. The file holds the pid, for whoever comes second.
pub(super) fn take(dir: &Path) -> Result<File> {
    let path = dir.join(FILE);
    let complain = |what: &str, error: io::Error| {
        Error::invalid(
            format!("{} cannot be {what}: {error}", path.display()),
            "give another directory with --data, or mend this one's permissions",
        )
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| complain("opened", error))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(taken(dir, &file)),
        Err(errno) => return Err(complain("locked", errno.into())),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(|error| complain("written", error))?;
    Ok(file)
}

fn taken(dir: &Path, file: &File) -> Error {
    /// Longer than any pid.
    const PID_BYTES_MAX: u64 = 20;
    let mut pid = String::new();
    // Unreadable is as good as unknown: the pid only helps a person.
    let _ = file.take(PID_BYTES_MAX).read_to_string(&mut pid);
    let holder = match pid.trim() {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    Error::invalid(
        format!("the data directory {} is in use by {holder}", dir.display()),
        "stop that peer first, or give this one a directory of its own with --data",
    )
}

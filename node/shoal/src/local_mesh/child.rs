//! One peer as a child process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;

use crate::failure::Failure;
use crate::home::{DIR_VAR, Home, PeerFile, SECRET_VAR};
use crate::start::Writing;

/// How long a child may take to stop before it is killed: longer than it
/// takes itself at most.
const STOP_TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes of a log that are shown when a start fails.
const LOG_TAIL_BYTES: u64 = 2 << 10;

/// What all children share.
pub(crate) struct Options {
    pub(crate) secret_file: PathBuf,
    pub(crate) replicas: Option<u32>,
    pub(crate) slots: u32,
    pub(crate) writing: Writing,
}

/// A peer that this process started. Dropping it kills the process.
pub(crate) struct Child {
    name: String,
    home: Home,
    log: PathBuf,
    process: tokio::process::Child,
    announced: Option<PeerFile>,
    dead: bool,
}

impl Child {
    /// Starts peer `number`; it joins the mesh at `join`, or begins one.
    pub(crate) fn spawn(number: u16, dir: &Path, join: Option<String>, options: &Options) -> Result<Self, Failure> {
        let name = format!("peer-{number}");
        fs::create_dir_all(dir).map_err(|error| Failure::file("make the directory", dir, &error))?;
        let log = dir.join("log");
        let open = || {
            OpenOptions::new()
                .create(true)
                .append(true)
                .open(&log)
                .map_err(|error| Failure::file("write", &log, &error))
        };
        let program = std::env::current_exe()
            .map_err(|error| Failure::request(format!("cannot find this program itself: {error}"), ""))?;
        let mut command = Command::new(program);
        command.arg("up").arg("--dir").arg(dir).args(["--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0"]);
        command.args(["--no-mdns", "--name", &name, "--zone", &name]).arg("--secret-file").arg(&options.secret_file);
        command.args(["--slots", &options.slots.to_string()]);
        if let Some(replicas) = options.replicas {
            command.args(["--replicas", &replicas.to_string()]);
        }
        command.args(["--parent", &std::process::id().to_string()]);
        if !options.writing.synced {
            command.arg("--unsynced");
        }
        if options.writing.direct {
            command.arg("--direct-io");
        }
        match join {
            Some(address) => command.args(["--join", &address]),
            None => command.arg("--new"),
        };
        // Whatever is set for this process is not meant for each of its peers.
        command.env_remove(DIR_VAR).env_remove(SECRET_VAR).env_remove("SHOAL_PEER");
        // A group of its own: a Ctrl-C at the terminal is for this process,
        // which then stops the peers in order.
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(open()?).stderr(open()?);
        let process = command.spawn().map_err(|error| Failure::request(format!("cannot start {name}: {error}"), ""))?;
        Ok(Self { name, home: Home::locate(Some(dir))?, log, process, announced: None, dead: false })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    pub(crate) fn log_file(&self) -> String {
        self.log.display().to_string()
    }

    pub(crate) fn gateway(&self) -> Option<String> {
        self.announced.as_ref().map(|peer| peer.gateway.clone())
    }

    /// Where other peers reach it.
    pub(crate) fn address(&self) -> Option<String> {
        self.announced.as_ref().and_then(|peer| peer.listen.first().cloned())
    }

    /// Whether it has said where it is; looks once. What an earlier process
    /// left there does not count.
    pub(crate) fn has_announced(&mut self) -> bool {
        if self.announced.is_none() {
            self.announced = self.home.announced().filter(|peer| Some(peer.pid) == self.process.id());
        }
        self.announced.is_some()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// How it ended, told once.
    pub(crate) fn just_died(&mut self) -> Result<Option<String>, Failure> {
        if self.dead {
            return Ok(None);
        }
        let status = self
            .process
            .try_wait()
            .map_err(|error| Failure::request(format!("cannot look after {}: {error}", self.name), ""))?;
        self.dead = status.is_some();
        Ok(status.map(|status| status.to_string()))
    }

    /// kill -9; whether there was anything to kill.
    pub(crate) fn kill(&mut self) -> bool {
        !self.dead && self.process.start_kill().is_ok()
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut tail = Vec::new();
            file.take(LOG_TAIL_BYTES).read_to_end(&mut tail)?;
            Ok(tail)
        };
        match read() {
            Ok(tail) => String::from_utf8_lossy(&tail).trim_end().to_owned(),
            Err(error) => format!("(no log: {error})"),
        }
    }

    /// Asks it to stop, waits, and kills it when that takes too long.
    async fn stop(mut self) {
        if let Some(pid) = self.process.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            // It may have ended just now; then there is nobody to tell.
            let _ = kill_process(pid, Signal::TERM);
        }
        match tokio::time::timeout(STOP_TIME_MAX, self.process.wait()).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => eprintln!("warning: cannot wait for {}: {error}", self.name),
            Err(_) => {
                eprintln!("warning: {} did not stop in time and is killed", self.name);
                // Dropping it kills it too, should this fail.
                let _ = self.process.kill().await;
            }
        }
    }
}

/// Stops all peers at once.
pub(crate) async fn stop_all(children: Vec<Child>) {
    join_all(children.into_iter().map(Child::stop)).await;
}

//! A mesh of peer processes on this machine, for one test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The binary under test.
pub(crate) const SHOAL: &str = env!("CARGO_BIN_EXE_shoal");

/// The secret of every mesh here that is not told another.
pub(crate) const SECRET: &str = "a secret that only the tests know";

/// How long the mesh may take for anything before a test gives up on it. No
/// test claims a speed: a busy machine may need most of this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// One peer process, killed when dropped.
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) dir: PathBuf,
    child: Child,
    /// `HOST:PORT` of its gateway, and of its port for peers.
    pub(crate) gateway: String,
    pub(crate) address: String,
}

impl Peer {
    /// Starts a peer and waits until it says where it listens.
    pub(crate) fn start(dir: &Path, name: &str, secret: &str, extra: &[&str]) -> Self {
        Self::start_among(dir, name, secret, extra, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_among(
        dir: &Path,
        name: &str,
        secret: &str,
        extra: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let (peer_dir, log) = (dir.join(name), dir.join(format!("{name}.log")));
        std::fs::create_dir_all(&peer_dir).unwrap();
        // What an earlier process of this peer left would be taken for this one's.
        let _ = std::fs::remove_file(peer_dir.join("peer.json"));
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(SHOAL)
            .args(["up", "--listen", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--no-mdns", "--slots", "2"])
            .args(["--name", name, "--dir"])
            .arg(&peer_dir)
            .args(extra)
            .env("SHOAL_SECRET", secret)
            .env("RUST_LOG", "info")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .spawn()
            .unwrap();
        let mut peer = Self { name: name.into(), dir: peer_dir, child, gateway: String::new(), address: String::new() };
        let announced = wait(&format!("{name} to announce itself"), || {
            if let Ok(Some(status)) = peer.child.try_wait() {
                panic!("{name} ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
            }
            let text = std::fs::read_to_string(peer.dir.join("peer.json")).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        });
        peer.gateway = announced["gateway"].as_str().unwrap().to_owned();
        peer.address = announced["listen"][0].as_str().or(announced["listen"].as_str()).unwrap().to_owned();
        peer
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; gives the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        self.ended()
    }

    /// Waits until it has ended; gives the exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{} does not stop", self.name);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory of the process in bytes: in use (`VmRSS`), or at most so far (`VmHWM`).
    pub(crate) fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(which)?.strip_prefix(':')).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Runs a command against this peer.
    pub(crate) fn shoal(&self, args: &[&str]) -> Output {
        run(&self.gateway, args, None)
    }

    /// The same; it must go well. Gives what it printed.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        said(args, self.shoal(args))
    }

    /// The same; it must fail with this exit code. Gives what it complained.
    pub(crate) fn fails(&self, code: i32, args: &[&str]) -> String {
        complained(code, args, self.shoal(args))
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?} printed no JSON ({error}): {text}"))
    }

    pub(crate) fn status(&self) -> Option<Value> {
        let output = self.shoal(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Peers that form one mesh.
pub(crate) struct Mesh {
    pub(crate) peers: Vec<Peer>,
    pub(crate) dir: tempfile::TempDir,
}

impl Mesh {
    /// `count` peers, all alive to each other and in a settled layout.
    pub(crate) fn of(count: usize) -> Self {
        Self::with(count, &[])
    }

    pub(crate) fn with(count: usize, extra: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut first = vec!["--new"];
        first.extend(extra);
        let mut peers = vec![Peer::start(dir.path(), "peer-1", SECRET, &first)];
        let join = peers[0].address.clone();
        for n in 2..=count {
            let mut args = vec!["--join", &join];
            args.extend(extra);
            peers.push(Peer::start(dir.path(), &format!("peer-{n}"), SECRET, &args));
        }
        let mesh = Self { peers, dir };
        mesh.settle();
        mesh
    }

    /// Waits until every running peer sees every other alive, and agrees on a
    /// settled layout of all of them.
    pub(crate) fn settle(&self) {
        let count = self.peers.len();
        let mut seen = Value::Null;
        for peer in &self.peers {
            let settled = || {
                let status = peer.status()?;
                let alive = status["members"].as_array()?.iter().filter(|m| m["state"] == "alive").count();
                let layout = &status["layout"];
                let members = layout["members"].as_array().map_or(0, Vec::len);
                let done = alive == count && members == count && layout["joint"] == false;
                seen = status;
                done.then_some(())
            };
            wait(&format!("{} to see {count} peers settled", peer.name), settled);
        }
        drop(seen);
    }

    /// Starts the peer at `at` again, on its own data.
    pub(crate) fn restart(&mut self, at: usize) {
        let join = self.peers.iter().enumerate().find(|(n, _)| *n != at).map(|(_, peer)| peer.address.clone());
        let name = self.peers[at].name.clone();
        let args: Vec<&str> = join.iter().flat_map(|join| ["--join", join.as_str()]).collect();
        self.peers[at] = Peer::start(self.dir.path(), &name, SECRET, &args);
    }

    /// A file of the test's.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }
}

/// Runs the binary against a gateway.
pub(crate) fn run(gateway: &str, args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(SHOAL);
    command.args(args).env("SHOAL_PEER", gateway).env_remove("SHOAL_SECRET");
    feed(command, input)
}

/// Runs the binary with no peer anywhere.
pub(crate) fn alone(dir: &Path, args: &[&str], input: Option<&[u8]>) -> Output {
    let mut command = Command::new(SHOAL);
    command.args(args).current_dir(dir).env_remove("SHOAL_PEER").env("SHOAL_DIR", dir.join("no peer here"));
    feed(command, input)
}

fn feed(mut command: Command, input: Option<&[u8]>) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.unwrap_or_default().to_vec();
    // A command that does not read its input closes it early: no failure.
    let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    output
}

/// What a command printed; it must have gone well.
pub(crate) fn said(args: &[&str], output: Output) -> String {
    assert!(
        output.status.success(),
        "shoal {args:?} failed with {:?}\n{}\n{}",
        output.status.code(),
        String::from_utf8_lossy(&output.stderr),
        String::from_utf8_lossy(&output.stdout),
    );
    String::from_utf8(output.stdout).unwrap()
}

/// What a command complained; it must have failed with this code.
pub(crate) fn complained(code: i32, args: &[&str], output: Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "shoal {args:?}: {stderr}");
    assert!(stderr.contains("error"), "shoal {args:?} does not say what is wrong: {stderr}");
    stderr
}

/// Asks until there is an answer.
pub(crate) fn wait<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

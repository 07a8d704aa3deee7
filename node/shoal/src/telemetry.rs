//! Logs, on stderr. `RUST_LOG` says what is logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// What a peer logs unless told otherwise: its own doings, others' troubles.
const PEER: &str = "warn,shoal=info";
/// What a client logs unless told otherwise.
const CLIENT: &str = "warn";

/// Starts logging for the process.
pub(crate) fn start(peer: bool) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let default = if peer { PEER } else { CLIENT };
    let filter = if wanted.trim().is_empty() { default } else { wanted.as_str() };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|error| {
        eprintln!("warning: RUST_LOG is not a filter and is ignored: {error}");
        EnvFilter::new(default)
    });
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
    if let Err(error) = started {
        eprintln!("warning: there will be no logs: {error}");
    }
}

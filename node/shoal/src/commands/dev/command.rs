//! The command that `shoal dev` runs beside its peers.

use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::SignalKind;

use crate::failure::Failure;
use crate::interrupt::Interrupts;

/// Runs the command to its end. Its exit code becomes the failure's.
pub(crate) async fn run(
    program: &str,
    args: &[String],
    gateways: &[String],
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let mut child = Command::new(program)
        .args(args)
        .env("SHOAL_PEER", gateways.first().map_or("", String::as_str))
        .env("SHOAL_DEV_PEERS", gateways.join(","))
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::Told {
            // As shells say it.
            code: if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 },
            message: format!("cannot run '{program}': {error}"),
            hint: String::new(),
        })?;
    loop {
        tokio::select! {
            status = child.wait() => {
                let status = status.map_err(|error| Failure::request(format!("cannot wait for '{program}': {error}"), ""))?;
                return outcome(status);
            }
            signal = interrupts.next() => forward(signal, child.id()),
        }
    }
}

/// Passes a signal on. A Ctrl-C at the terminal has reached the command
/// already, as it is in the terminal's foreground group.
fn forward(signal: i32, child: Option<u32>) {
    let interrupt = signal == SignalKind::interrupt().as_raw_value();
    if interrupt && std::io::stdin().is_terminal() {
        return;
    }
    let signal = if interrupt { Signal::INT } else { Signal::TERM };
    if let Some(pid) = child.and_then(|pid| Pid::from_raw(pid.cast_signed())) {
        // It may have ended just now; then there is nobody to tell.
        let _ = kill_process(pid, signal);
    }
}

fn outcome(status: ExitStatus) -> Result<(), Failure> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(Failure::Silent(u8::try_from(code).unwrap_or(1))),
        (None, Some(signal)) => Err(Failure::signalled(signal)),
        (None, None) => Err(Failure::Silent(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run_shell(script: &str) -> Result<(), Failure> {
        let mut interrupts = Interrupts::listen().unwrap();
        let gateways = ["127.0.0.1:1".to_owned(), "127.0.0.1:2".to_owned()];
        run("sh", &["-c".to_owned(), script.to_owned()], &gateways, &mut interrupts).await
    }

    #[tokio::test]
    async fn the_commands_exit_code_is_passed_on() {
        assert_eq!(run_shell("exit 0").await, Ok(()));
        assert_eq!(run_shell("exit 7").await, Err(Failure::Silent(7)));
        assert_eq!(run_shell("kill -9 $$").await, Err(Failure::Silent(137)));
    }

    #[tokio::test]
    async fn the_command_is_told_the_gateways() {
        let test = "test \"$SHOAL_PEER $SHOAL_DEV_PEERS\" = '127.0.0.1:1 127.0.0.1:1,127.0.0.1:2'";
        assert_eq!(run_shell(test).await, Ok(()));
    }

    #[tokio::test]
    async fn a_command_that_is_not_there_is_named() {
        let mut interrupts = Interrupts::listen().unwrap();
        let failure = run("no-such-program", &[], &[], &mut interrupts).await.unwrap_err();
        let Failure::Told { code: 127, message, .. } = failure else { panic!("{failure:?}") };
        assert!(message.contains("no-such-program"));
    }
}

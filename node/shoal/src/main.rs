//! The `shoal` binary: command line, configuration, wiring, telemetry.
//!
//! [`cli`] says what there is; [`commands`] has one file per command;
//! [`start`] is the one place where a peer is put together out of its ports,
//! for `shoal up` and for the [`embedded`] mesh of one alike.

mod answer;
mod batch;
mod cli;
mod commands;
mod copying;
mod destination;
mod download;
mod embedded;
mod failure;
mod folders;
mod follow;
mod glob;
mod home;
mod interrupt;
mod invite;
mod listing;
mod local_mesh;
mod moving;
mod named;
mod selection;
mod start;
mod stdout;
mod system;
mod target;
mod telemetry;
mod text;
mod tpch;
mod transfer;
mod units;
mod versions;
mod when;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    telemetry::start(cli.command.runs_a_peer());
    let outcome = system::async_runtime().and_then(|runtime| {
        let outcome = runtime.block_on(cli.command.run());
        // What still blocks on a disk or a pipe must not keep the process.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

//! Taffrail, an etcd v3 server for Kubernetes: the life of the process on one page.

#[cfg(feature = "dqlite")]
mod cluster;
mod commands;
mod company;
mod disk;
mod door;
mod gateway;
mod http;
mod listeners;
mod memory;
mod metrics;
mod notify;
#[cfg(feature = "dqlite")]
mod peers;
mod server;
mod services;
mod settings;
mod signals;
mod telemetry;
mod version;

use std::process::ExitCode;

use anyhow::{Context, Result};

use server::Server;
use settings::{Request, Settings, SettingsError};
use signals::Signals;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code for settings that cannot be used.
const BAD_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    match settings::load(std::env::args_os(), std::env::vars_os()) {
        Ok(Request::Version) => show(&version::describe()),
        Ok(Request::Serve(settings)) => report(serve(*settings)),
        Ok(Request::Command(command)) => report(commands::run(command)),
        Err(SettingsError::Help(text)) => show(&text),
        Err(SettingsError::Bad(what)) => {
            eprintln!("taffrail: {what} (taffrail --help lists the settings)");
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

fn show(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn report(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("taffrail: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Serves until told to stop: open the log, start the pipeline, open the doors; then close the doors,
/// let requests finish, and close the log.
fn serve(settings: Settings) -> Result<()> {
    let _telemetry = telemetry::start(&settings.log)?;
    tracing::info!(
        version = version::TAFFRAIL,
        etcd = services::ETCD_VERSION,
        name = settings.name,
        "starting Taffrail"
    );
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    actors::serve_on(settings.worker_threads, |threads| async {
        let mut signals = Signals::listen()?;
        let server = tokio::select! {
            server = Server::open(&settings, threads) => server?,
            _ = signals.next() => return Ok(()),
        };
        let disk = disk::watch(settings.data_dir.clone());
        tokio::select! {
            outcome = server.run(settings, signals) => outcome,
            never = memory::give_back() => match never {},
            never = disk => match never {},
        }
    })
    .context("cannot start the threads that serve connections")?
}

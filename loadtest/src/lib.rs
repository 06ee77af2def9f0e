//! Load and chaos harness for servers of etcd's v3 API. It sees only that API, so it drives, measures and
//! checks etcd and Taffrail alike. The program is `loadtest`; [`chaos`] and [`exercise`] are open to other tests.

pub mod chaos;
mod cli;
mod client;
mod compare;
pub mod exercise;
mod keys;
mod load;
mod measure;
mod page;
mod report;
mod scenario;
mod sweep;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Cli, Command, RunArguments};
use load::Plan;

/// The program. Exit code 0: done, and all that was asked for is met. 1: something failed or is not met.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Limits(arguments) => compare::limits(&arguments),
        Command::Sweep(arguments) => sweep::sweep(&arguments),
        Command::Report(arguments) => page::report(&arguments),
        Command::Chaos(command) => chaos::command(command),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one scenario; false if operations failed.
fn run(arguments: RunArguments) -> Result<bool> {
    let RunArguments {
        scenario,
        endpoints,
        load,
        server_pid,
        tls,
        json,
    } = arguments;
    let report = scenario::run(
        scenario,
        &Plan {
            endpoints,
            dialer: tls.dialer()?,
            load,
            server_pids: server_pid,
            display: !json,
        },
    )?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.summary.failed == 0)
}

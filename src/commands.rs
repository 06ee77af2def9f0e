//! What the program does instead of serving.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use journal::{RestoreOptions, Verification};
use model::Revision;

use crate::settings::{self, Command, FirstMember, RestoreFlags};

/// Carries out a command and prints what came of it.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Verify { path } => verify(&path),
        Command::Restore(flags) => restore(&flags),
        Command::Recover { data_dir } => recover(&data_dir),
    }
}

fn verify(path: &Path) -> Result<()> {
    let found = journal::verify(path)?;
    show(&found);
    for problem in &found.problems {
        println!("problem: {problem}");
    }
    match found.problems.len() as u64 + found.problems_not_told {
        0 => Ok(()),
        problems => bail!("{problems} problems in {}", path.display()),
    }
}

fn show(found: &Verification) {
    println!("rows: {}", found.rows);
    println!("keys: {}", found.keys);
    println!("leases: {}", found.leases);
    println!("compact revision: {}", found.compact_revision.0);
    println!("newest revision: {}", found.newest_revision.0);
}

#[cfg(feature = "dqlite")]
fn recover(data_dir: &Path) -> Result<()> {
    let recovered = crate::cluster::recover(data_dir)?;
    println!(
        "member {:x} at {} is alone in its cluster now; the last entry of its log is {} of term {}",
        recovered.server.id, recovered.server.address, recovered.last_entry.index, recovered.last_entry.term
    );
    println!(
        "start it as before; the others join it again with empty data directories, and never with their old ones"
    );
    Ok(())
}

#[cfg(not(feature = "dqlite"))]
fn recover(_: &Path) -> Result<()> {
    bail!("this build has no Dqlite: `make build` makes one that has (cargo build --features dqlite)")
}

fn restore(flags: &RestoreFlags) -> Result<()> {
    let options = RestoreOptions {
        bump_revision: flags.bump_revision,
        mark_compacted: flags.mark_compacted,
        to_revision: flags.revision.map(Revision),
    };
    let restored = match settings::first_member(flags).map_err(|error| anyhow!("{error}"))? {
        None => journal::restore(&flags.snapshot, &flags.data_dir, options)?,
        Some(first) => restore_member(flags, options, &first)?,
    };
    println!(
        "restored {} into {}",
        flags.snapshot.display(),
        flags.data_dir.display()
    );
    show(&restored);
    Ok(())
}

#[cfg(feature = "dqlite")]
fn restore_member(
    flags: &RestoreFlags,
    options: RestoreOptions,
    first: &FirstMember,
) -> Result<Verification> {
    crate::cluster::restore(&flags.snapshot, &flags.data_dir, options, first)
}

#[cfg(not(feature = "dqlite"))]
fn restore_member(_: &RestoreFlags, _: RestoreOptions, _: &FirstMember) -> Result<Verification> {
    bail!("this build has no Dqlite: `make build` makes one that has (cargo build --features dqlite)")
}

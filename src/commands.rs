//! What the program does instead of serving.

use std::path::Path;

use anyhow::{Result, bail};
use journal::{RestoreOptions, Verification};
use model::Revision;

use crate::settings::{Command, RestoreFlags};

/// Carries out a command and prints what came of it.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Verify { path } => verify(&path),
        Command::Restore(flags) => restore(&flags),
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

fn restore(flags: &RestoreFlags) -> Result<()> {
    let options = RestoreOptions {
        bump_revision: flags.bump_revision,
        mark_compacted: flags.mark_compacted,
        to_revision: flags.revision.map(Revision),
    };
    let restored = journal::restore(&flags.snapshot, &flags.data_dir, options)?;
    println!(
        "restored {} into {}",
        flags.snapshot.display(),
        flags.data_dir.display()
    );
    show(&restored);
    Ok(())
}

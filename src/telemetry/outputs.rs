//! Where log lines go.

use std::fs::OpenOptions;
use std::io::{self, Write};

use anyhow::{Context, Result};

/// Everything that each line is written to.
pub(super) struct Outputs(Vec<Box<dyn Write + Send>>);

/// Opens the outputs by their names: `default` and `stderr`, `stdout`, or a file to append to.
pub(super) fn open(names: &[String]) -> Result<Outputs> {
    names
        .iter()
        .map(|name| open_one(name))
        .collect::<Result<_>>()
        .map(Outputs)
}

fn open_one(name: &str) -> Result<Box<dyn Write + Send>> {
    Ok(match name {
        "default" | "stderr" | "systemd/journal" => Box::new(io::stderr()),
        "stdout" => Box::new(io::stdout()),
        path => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            Box::new(file.with_context(|| format!("--log-outputs: cannot write to {path}"))?)
        }
    })
}

impl Write for Outputs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for output in &mut self.0 {
            output.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|output| output.flush())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_output_gets_every_line() {
        let directory = tempfile::tempdir().unwrap();
        let paths = ["a", "b"].map(|name| directory.path().join(name).to_str().unwrap().to_owned());
        let mut outputs = open(&paths).unwrap();
        outputs.write_all(b"line\n").unwrap();
        outputs.flush().unwrap();
        assert!(paths.iter().all(|path| std::fs::read(path).unwrap() == b"line\n"));
    }
}

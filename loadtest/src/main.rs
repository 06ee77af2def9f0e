//! The program `loadtest`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    taffrail_loadtest::main()
}

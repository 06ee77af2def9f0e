//! What a run costs: CPU time, memory and disk writes, from `/proc`.

mod procfs;
mod usage;

pub(crate) use usage::{Probe, Usage};

//! What a run costs: CPU time, memory and disk writes, from `/proc`.

mod fsyncs;
mod procfs;
mod usage;

pub(crate) use fsyncs::fsyncs;
pub(crate) use procfs::{Memory, process, reset_peak};
pub(crate) use usage::{Probe, Usage};

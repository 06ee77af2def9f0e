//! The rules of this repository that no other tool checks.

mod crates;
mod dependencies;
mod metadata;
mod tidy;

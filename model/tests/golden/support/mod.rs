//! What runs the scripts: a parser, a store that can hold back commits, a printer.

pub mod parse;
pub mod print;
pub mod store;

//! Passes on whether dqlite was built from its sources, with what those tell beyond its interface.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(dqlite_static)");
    if std::env::var_os("DEP_DQLITE_STATIC").is_some() {
        println!("cargo::rustc-cfg=dqlite_static");
    }
}

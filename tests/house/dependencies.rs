//! What other people's code we build on: its licences, its sources, and that there is one version of each.

use std::collections::BTreeMap;

use crate::metadata::{Metadata, Package};

/// Licences that go with Apache-2.0 in one program.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages that must not come in: a second TLS or cryptography library, native code that must be installed.
const BANNED: &[&str] = &[
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-sys",
    "aws-lc-rs",
    "protobuf",
];

/// Packages of which there is more than one version, and who holds the older one: all small, none with state.
const SEVERAL_VERSIONS: &[(&str, &str)] = &[
    ("base64", "tonic, prost-reflect; the newer one is in tests only"),
    ("cpufeatures", "sha2"),
    ("foldhash", "prost-build"),
    ("getrandom", "ring"),
    ("hashbrown", "prost-build"),
    ("syn", "the macros of actix, prost and tonic, at build time only"),
];

fn foreign() -> Vec<Package> {
    Metadata::load()
        .packages
        .into_values()
        .filter(|package| package.source.is_some())
        .collect()
}

/// Whether one of the alternatives of a licence expression may be used. An expression is read as
/// alternatives (`OR`, or an old `/`) of what all must hold (`AND`), brackets opened by hand.
fn allowed(expression: &str) -> bool {
    let plain = expression.replace('/', " OR ").replace(['(', ')'], "");
    if expression.contains(") AND") || expression.contains("AND (") {
        return plain.split(" AND ").all(|part| {
            part.split(" OR ")
                .any(|licence| LICENCES.contains(&licence.trim()))
        });
    }
    plain.split(" OR ").any(|part| {
        part.split(" AND ")
            .all(|licence| LICENCES.contains(&licence.trim()))
    })
}

#[test]
fn licences_go_with_ours() {
    let refused: Vec<_> = foreign()
        .into_iter()
        .filter(|package| !allowed(&package.license))
        .map(|package| format!("{} {}: {:?}", package.name, package.version, package.license))
        .collect();
    assert_eq!(refused, Vec::<String>::new());
}

#[test]
fn everything_comes_from_the_public_registry() {
    let elsewhere: Vec<_> = foreign()
        .into_iter()
        .filter(|package| {
            !package
                .source
                .as_deref()
                .is_some_and(|source| source.starts_with("registry+https://github.com/rust-lang/"))
        })
        .map(|package| package.name)
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

#[test]
fn nothing_that_is_banned_comes_in() {
    let found: Vec<_> = foreign()
        .into_iter()
        .map(|package| package.name)
        .filter(|name| BANNED.contains(&name.as_str()))
        .collect();
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn there_is_one_version_of_each() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in foreign() {
        versions.entry(package.name).or_default().push(package.version);
    }
    let several: Vec<_> = versions
        .into_iter()
        .filter(|(name, versions)| {
            versions.len() > 1 && !SEVERAL_VERSIONS.iter().any(|(known, _)| known == name)
        })
        .collect();
    assert_eq!(several, Vec::<(String, Vec<String>)>::new());
}

#[test]
fn licence_expressions_are_read() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-2.0 OR MIT",
        "(MIT OR GPL-2.0) AND Unicode-3.0",
        "MIT AND ISC",
    ] {
        assert!(allowed(good), "{good}");
    }
    for bad in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND GPL-3.0",
    ] {
        assert!(!allowed(bad), "{bad}");
    }
}

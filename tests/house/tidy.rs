//! What every file must keep to. The length of functions and the like are clippy's to judge.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Lines that a source file may have.
const MOST_LINES: usize = 500;
/// Endings of files that are written by hand and read by people.
const WRITTEN: &[&str] = &[
    "rs", "go", "c", "h", "proto", "html", "md", "sh", "toml", "yaml", "yml", "service", "run",
];

/// The files under version control, and those that would be.
fn files() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(ROOT)
        .output()
        .expect("git lists the files");
    assert!(
        listed.status.success(),
        "git: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let names = String::from_utf8(listed.stdout).expect("file names are text");
    let files: Vec<_> = names
        .split_terminator('\0')
        .map(|name| Path::new(ROOT).join(name))
        .collect();
    files.into_iter().filter(|path| path.is_file()).collect()
}

fn ending(path: &Path) -> &str {
    path.extension()
        .or(path.file_name())
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
}

fn written() -> Vec<(String, String)> {
    let files: Vec<_> = files()
        .into_iter()
        .filter(|path| WRITTEN.contains(&ending(path)))
        .collect();
    assert!(files.len() > 50, "only {} files were found", files.len());
    files
        .into_iter()
        .map(|path| {
            let text =
                fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (
                path.strip_prefix(ROOT).unwrap_or(&path).display().to_string(),
                text,
            )
        })
        .collect()
}

/// The lines in which one of the words stands, as `file:line: word`.
fn lines_with(words: &[&str], within: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in written().into_iter().filter(|(name, _)| within(name)) {
        for (number, line) in text.lines().enumerate() {
            let word = words.iter().find(|word| line.contains(**word));
            found.extend(word.map(|word| format!("{name}:{}: {word}", number + 1)));
        }
    }
    found
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn sources_are_short() {
    let sources = written().into_iter().filter(|(name, _)| {
        [".rs", ".go", ".c", ".h"]
            .iter()
            .any(|ending| name.ends_with(ending))
    });
    let long = sources
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES);
    assert_none(
        &long
            .map(|(name, lines)| format!("{name}: {lines} lines"))
            .collect::<Vec<_>>(),
    );
}

#[test]
fn nothing_is_left_for_later() {
    assert_none(&lines_with(
        &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")],
        |_| true,
    ));
}

#[test]
fn no_machine_is_named() {
    let paths = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("crates", "-io."),
    ];
    assert_none(&lines_with(&paths, |_| true));
}

#[test]
fn code_is_unsafe_only_where_dqlite_is() {
    let words = [
        concat!("unsa", "fe {"),
        concat!("unsa", "fe fn"),
        concat!("unsa", "fe impl"),
        concat!("unsa", "fe extern"),
    ];
    let within = |name: &str| name.ends_with(".rs") && !beside_dqlite(name);
    assert_none(&lines_with(&words, within));
}

fn beside_dqlite(name: &str) -> bool {
    ["dqlite-sys/", "dqlite/src/node/", "dqlite/tests/"]
        .iter()
        .any(|folder| name.starts_with(folder))
}

/// What becomes part of dqlite has dqlite's licence, and nothing else has.
#[test]
fn the_licence_of_dqlite_is_where_it_belongs() {
    let word = [concat!(
        "SPDX-License-Identifier: L",
        "GPL-3.0-only WITH L",
        "GPL-3.0-linking-exception"
    )];
    let is_mend = |name: &str| name.starts_with("dqlite-sys/mends/") && !name.ends_with(".md");
    let marked = lines_with(&word, is_mend);
    let mends = written().into_iter().filter(|(name, _)| is_mend(name));
    let mends: Vec<_> = mends.map(|(name, _)| format!("{name}:")).collect();
    assert!(mends.len() > 5, "{mends:?}");
    let unmarked = mends
        .into_iter()
        .filter(|name| !marked.iter().any(|line| line.starts_with(name.as_str())));
    assert_none(&unmarked.collect::<Vec<_>>());
    assert_none(&lines_with(&word, |name| !is_mend(name)));
}

#[test]
fn no_test_is_skipped() {
    let words = [
        concat!("#[igno", "re"),
        concat!("t.Sk", "ip"),
        concat!(".Ski", "pf("),
    ];
    assert_none(&lines_with(&words, |name| {
        name.ends_with(".rs") || name.ends_with("_test.go")
    }));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent = written().into_iter().filter(|(name, _)| name.ends_with(".rs"));
    let silent = silent.filter(|(name, text)| !text.starts_with("//!") && !is_tests_of_a_module(name));
    assert_none(&silent.map(|(name, _)| name).collect::<Vec<_>>());
}

/// Tests beside their module are described by it.
fn is_tests_of_a_module(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

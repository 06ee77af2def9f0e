//! Golden scripts: one behaviour a file, commands above, answers below each of them.
//!
//! `UPDATE_GOLDEN=1 cargo test -p taffrail-model --test golden` writes the answers anew; read the diff.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::store::Store;

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut scripts: Vec<PathBuf> = fs::read_dir(folder)
        .expect("the scripts")
        .map(|entry| entry.expect("a script").path())
        .collect();
    scripts.sort();
    scripts
}

/// Runs the commands of a script; its earlier answers (indented lines) are left out, comments are kept.
fn replay(script: &str) -> String {
    let mut store = Store::default();
    let mut out = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        out.push_str(line);
        out.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for answer in store.run(line) {
            out.push_str(&format!("    {answer}\n"));
        }
    }
    out
}

#[test]
fn every_script_answers_as_it_did() {
    let scripts = scripts();
    assert!(scripts.len() >= 20, "the scripts are not where they should be");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut differing = Vec::new();
    for path in &scripts {
        let expected = fs::read_to_string(path).expect("a readable script");
        let actual = replay(&expected);
        if update {
            fs::write(path, &actual).expect("a writable script");
        } else if actual != expected {
            differing.push(format!("--- {}\n{actual}", path.display()));
        }
    }
    println!("ran {} scripts", scripts.len());
    assert!(differing.is_empty(), "answers changed:\n{}", differing.join("\n"));
}

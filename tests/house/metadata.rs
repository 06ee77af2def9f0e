//! What cargo knows of the workspace.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The resolved packages of the workspace.
pub(crate) struct Metadata {
    /// Every package by its id.
    pub(crate) packages: BTreeMap<String, Package>,
    /// Which packages each package needs, dependencies for tests left out.
    needs: BTreeMap<String, BTreeSet<String>>,
}

/// A package.
#[derive(Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) license: String,
    pub(crate) source: Option<String>,
}

impl Metadata {
    /// Asks cargo, without the network.
    pub(crate) fn load() -> Self {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args([
                "metadata",
                "--format-version",
                "1",
                "--locked",
                "--offline",
                "--all-features",
            ])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .expect("cargo runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo answers in JSON");
        let packages = list(&metadata["packages"]).map(package).collect();
        let needs = list(&metadata["resolve"]["nodes"]).map(needs).collect();
        Self { packages, needs }
    }

    /// The names of the packages that a package of the workspace needs, directly (depth one) or at all.
    pub(crate) fn needed_by(&self, name: &str, directly: bool) -> BTreeSet<String> {
        let own = |(_, package): &(&String, &Package)| package.name == name && package.source.is_none();
        let (start, _) = self
            .packages
            .iter()
            .find(own)
            .unwrap_or_else(|| panic!("there is no crate {name}"));
        let (mut found, mut next) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(id) = next.pop() {
            for needed in &self.needs[&id] {
                if found.insert(needed.clone()) && !directly {
                    next.push(needed.clone());
                }
            }
        }
        found
            .into_iter()
            .map(|id| self.packages[&id].name.clone())
            .collect()
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn package(package: &Value) -> (String, Package) {
    let source = package["source"].as_str().map(ToOwned::to_owned);
    let (name, version) = (text(&package["name"]), text(&package["version"]));
    (
        text(&package["id"]),
        Package {
            name,
            version,
            license: text(&package["license"]),
            source,
        },
    )
}

fn needs(node: &Value) -> (String, BTreeSet<String>) {
    let built = |needed: &&Value| list(&needed["dep_kinds"]).any(|kind| kind["kind"].is_null());
    (
        text(&node["id"]),
        list(&node["deps"])
            .filter(built)
            .map(|needed| text(&needed["pkg"]))
            .collect(),
    )
}

//! `loadtest report`: results as one page with plots that a browser shows without anything else.

mod axis;
mod chart;
mod charts;
mod html;
mod ratios;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::cli::ReportArguments;
use crate::compare::Comparison;
use crate::report::RunReport;
use crate::sweep::Sweep;

/// What a file of results may hold.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Results {
    /// Of `compare` or `limits`.
    Comparison(Comparison),
    /// Of `sweep`.
    Sweep(Sweep),
    /// Of `run --json`.
    Run(Box<RunReport>),
}

/// Reads results and writes the page.
pub(crate) fn report(arguments: &ReportArguments) -> Result<bool> {
    let results = arguments.results.iter().map(|path| read(path));
    let results = results.collect::<Result<Vec<_>>>()?;
    let path = &arguments.output;
    fs::write(path, html::page(&results)).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

fn read(path: &Path) -> Result<Results> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} holds no results", path.display()))
}

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escaped("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
    }

    #[test]
    fn files_are_told_apart_by_what_they_hold() {
        let parse = |text: &str| serde_json::from_str::<Results>(text);
        let comparison = r#"{"peer":null,"disk_sync_us":1.0,"quick":true,"rows":[]}"#;
        assert!(matches!(parse(comparison), Ok(Results::Comparison(_))));
        let sweep = r#"{"by_clients":[],"by_keys":[]}"#;
        assert!(matches!(parse(sweep), Ok(Results::Sweep(_))));
        assert!(parse("{}").is_err());
    }
}

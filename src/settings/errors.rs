//! What is wrong with the settings, in one line, or what was asked for instead of serving.

use std::fmt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Why the settings cannot be used.
#[derive(Debug)]
pub(crate) enum SettingsError {
    /// Help was asked for; this is its text.
    Help(String),
    /// One line that says what is wrong.
    Bad(String),
}

impl SettingsError {
    /// A setting that cannot be used as it stands.
    pub(crate) fn bad(what: impl Into<String>) -> Self {
        Self::Bad(what.into())
    }

    /// A configuration file that cannot be read.
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    pub(crate) fn from_file(error: anyhow::Error) -> Self {
        Self::Bad(format!("configuration file: {error:#}"))
    }

    /// What the parser said of arguments that came from `source`.
    pub(crate) fn from_clap(error: &clap::Error, source: &str) -> Self {
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        ) {
            return Self::Help(error.render().to_string());
        }
        let rendered = error.render().to_string();
        let what = rendered
            .lines()
            .take_while(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" ");
        let what = what.strip_prefix("error: ").unwrap_or(&what);
        Self::Bad(format!("{source}{what}{}", suggestion(error)))
    }
}

fn suggestion(error: &clap::Error) -> String {
    let suggested = error
        .get(ContextKind::SuggestedArg)
        .or_else(|| error.get(ContextKind::SuggestedSubcommand));
    match suggested {
        Some(ContextValue::String(name)) => format!("; did you mean '{name}'?"),
        Some(ContextValue::Strings(names)) if !names.is_empty() => {
            format!("; did you mean '{}'?", names.join("', '"))
        }
        _ => String::new(),
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Help(text) | Self::Bad(text) => f.write_str(text),
        }
    }
}

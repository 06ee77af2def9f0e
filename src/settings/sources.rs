//! Where settings come from: the command line, the environment, a file. Each is turned into
//! arguments of one command line, so that there is one parser and one set of rules.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Command;
use yaml_rust2::{Yaml, YamlLoader};

/// Variables that etcd's own tools or its start scripts read; they are no settings.
const FOREIGN_VARIABLES: &[&str] = &["ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY"];

/// Flags whose value a configuration file may give as a number of nanoseconds, as etcd's does.
const DURATIONS: &[&str] = &[
    "watch-progress-notify-interval",
    "grpc-keepalive-min-time",
    "grpc-keepalive-interval",
    "grpc-keepalive-timeout",
    "drain-timeout",
];

/// Arguments from one source, and what in it was not understood.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// The arguments, each `--name=value`.
    pub(super) arguments: Vec<OsString>,
    /// Names that are no setting.
    pub(super) unknown: Vec<String>,
}

impl Arguments {
    fn set(&mut self, flag: &str, value: &str) {
        self.arguments.push(format!("--{flag}={value}").into());
    }
}

/// The command line in the form that the parser expects: Go's flags may have one dash or two, and
/// flags that were once experimental may carry that word.
pub(super) fn from_command_line(
    command: &Command,
    arguments: impl Iterator<Item = OsString>,
) -> Vec<OsString> {
    arguments
        .map(|argument| canonical(command, &argument).unwrap_or(argument))
        .collect()
}

fn canonical(command: &Command, argument: &OsString) -> Option<OsString> {
    let text = argument.to_str()?.strip_prefix('-')?;
    let text = text.strip_prefix('-').unwrap_or(text);
    let name = text.split('=').next()?;
    if name.len() < 2 || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return None;
    }
    match name.strip_prefix("experimental-") {
        Some(stable) if is_flag(command, stable) => {
            Some(format!("--{}", &text["experimental-".len()..]).into())
        }
        _ => Some(format!("--{text}").into()),
    }
}

fn is_flag(command: &Command, name: &str) -> bool {
    command
        .get_arguments()
        .any(|known| known.get_long() == Some(name))
}

/// The settings among these variables: `ETCD_<NAME>`, and `TAFFRAIL_<NAME>`, which wins. Empty ones count as unset.
pub(super) fn from_environment(
    command: &Command,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Arguments {
    let variables =
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let (mut etcd, mut ours) = (Arguments::default(), Arguments::default());
    for (name, value) in variables.filter(|(_, value)| !value.is_empty()) {
        if let Some(rest) = name.strip_prefix("TAFFRAIL_") {
            set_variable(&mut ours, command, (&name, rest), &value);
        } else if let Some(rest) = name.strip_prefix("ETCD_") {
            set_variable(&mut etcd, command, (&name, rest), &value);
        }
    }
    etcd.arguments.append(&mut ours.arguments);
    etcd.unknown.append(&mut ours.unknown);
    etcd
}

fn set_variable(into: &mut Arguments, command: &Command, (name, rest): (&str, &str), value: &str) {
    let flag = rest.to_ascii_lowercase().replace('_', "-");
    let flag = flag
        .strip_prefix("experimental-")
        .filter(|stable| is_flag(command, stable))
        .unwrap_or(&flag);
    if is_flag(command, flag) {
        into.set(flag, value);
    } else if !FOREIGN_VARIABLES.contains(&name) {
        into.unknown.push(name.to_owned());
    }
}

/// The settings of a YAML file in etcd's form.
pub(super) fn from_file(command: &Command, path: &Path) -> Result<Arguments> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    from_yaml(command, &text).with_context(|| format!("in {}", path.display()))
}

fn from_yaml(command: &Command, text: &str) -> Result<Arguments> {
    let mut found = Arguments::default();
    let documents = YamlLoader::load_from_str(text).context("not YAML")?;
    match documents.first() {
        None | Some(Yaml::Null) => {}
        Some(Yaml::Hash(settings)) => {
            for (name, value) in settings {
                set_from_yaml(&mut found, command, (name, value))?;
            }
        }
        Some(_) => bail!("expected names and values"),
    }
    Ok(found)
}

fn set_from_yaml(found: &mut Arguments, command: &Command, (name, value): (&Yaml, &Yaml)) -> Result<()> {
    let name = name.as_str().context("a setting's name must be text")?;
    if let ("client-transport-security" | "peer-transport-security", Yaml::Hash(section)) = (name, value) {
        let prefix = if name.starts_with("peer") { "peer-" } else { "" };
        for (inner, value) in section {
            let inner = section_flag(prefix, inner.as_str().context("a setting's name must be text")?);
            set_from_yaml(found, command, (&Yaml::String(inner), value))?;
        }
        return Ok(());
    }
    let name = name
        .strip_prefix("experimental-")
        .filter(|stable| is_flag(command, stable))
        .unwrap_or(name);
    match yaml_value(name, value)? {
        Some(value) if is_flag(command, name) => found.set(name, &value),
        Some(_) => found.unknown.push(name.to_owned()),
        None => {}
    }
    Ok(())
}

/// What a setting of a `*-transport-security` section is called on the command line.
fn section_flag(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", "auto-tls" | "cert-file" | "key-file" | "client-cert-auth" | "trusted-ca-file") => {
            name.to_owned()
        }
        ("", "allowed-hostname" | "allowed-hostnames") => "client-cert-allowed-hostname".to_owned(),
        ("", "crl-file") => "client-crl-file".to_owned(),
        ("peer-", "allowed-cn" | "allowed-hostname") => format!("peer-cert-{name}"),
        _ => format!("{prefix}{name}"),
    }
}

/// A setting's value as text, or nothing where the file leaves it empty.
fn yaml_value(name: &str, value: &Yaml) -> Result<Option<String>> {
    Ok(match value {
        Yaml::Null => None,
        Yaml::String(text) if text.is_empty() => None,
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Boolean(value) => Some(value.to_string()),
        Yaml::Integer(nanos) if DURATIONS.contains(&name) => Some(format!("{nanos}ns")),
        Yaml::Integer(value) => Some(value.to_string()),
        Yaml::Array(items) => {
            let items: Result<Vec<_>> = items.iter().map(|item| yaml_value(name, item)).collect();
            Some(items?.into_iter().flatten().collect::<Vec<_>>().join(","))
        }
        _ => bail!("{name}: expected a single value or a list"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        super::super::command()
    }

    #[test]
    fn one_dash_and_experimental_names_are_understood() {
        let given = [
            "taffrail",
            "-data-dir=d",
            "--experimental-watch-progress-notify-interval",
            "5s",
            "-V",
            "-12",
        ];
        let canonical = from_command_line(&command(), given.iter().map(OsString::from));
        assert_eq!(
            canonical,
            [
                "taffrail",
                "--data-dir=d",
                "--watch-progress-notify-interval",
                "5s",
                "-V",
                "-12"
            ]
        );
    }

    #[test]
    fn our_variables_come_after_etcds_and_unknown_ones_are_named() {
        let variables = [
            ("TAFFRAIL_NAME", "b"),
            ("ETCD_NAME", "a"),
            ("ETCD_PORT", "x"),
            ("ETCD_DATA_DIR", ""),
        ];
        let found = from_environment(&command(), variables.iter().map(|(n, v)| (n.into(), v.into())));
        assert_eq!(found.arguments, ["--name=a", "--name=b"]);
        assert_eq!(found.unknown, ["ETCD_PORT"]);
    }

    #[test]
    fn a_file_is_read_as_etcd_reads_its_own() {
        let text = "name: n\nlisten-client-urls: http://127.0.0.1:1,http://127.0.0.1:2\nlog-outputs: [stderr]\n\
                    client-transport-security:\n  cert-file: c.pem\n  client-cert-auth: true\n\
                    peer-transport-security:\n  cert-file: p.pem\n\
                    watch-progress-notify-interval: 5000000000\nwal-dir:\nbogus: 1\n";
        let found = from_yaml(&command(), text).unwrap();
        let expected = [
            "--name=n",
            "--listen-client-urls=http://127.0.0.1:1,http://127.0.0.1:2",
            "--log-outputs=stderr",
            "--cert-file=c.pem",
            "--client-cert-auth=true",
            "--peer-cert-file=p.pem",
            "--watch-progress-notify-interval=5000000000ns",
        ];
        assert_eq!(found.arguments, expected);
        assert_eq!(found.unknown, ["bogus"]);
    }

    #[test]
    fn what_is_no_list_of_settings_is_refused() {
        for text in ["- a\n- b\n", "name: {a: b}\n", "a: [\n"] {
            assert!(from_yaml(&command(), text).is_err(), "{text}");
        }
    }
}

use std::io::Write;

use super::*;

fn load_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Request, SettingsError> {
    let arguments = std::iter::once("taffrail")
        .chain(arguments.iter().copied())
        .map(OsString::from);
    load(
        arguments,
        environment
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    )
}

fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Settings {
    match load_with(arguments, environment) {
        Ok(Request::Serve(settings)) => *settings,
        Ok(_) => panic!("not to serve"),
        Err(error) => panic!("{error}"),
    }
}

fn refused(arguments: &[&str]) -> String {
    match load_with(arguments, &[]) {
        Err(SettingsError::Bad(what)) => what,
        _ => panic!("{arguments:?} was not refused"),
    }
}

#[test]
fn the_command_is_well_formed() {
    command().debug_assert();
}

#[test]
fn defaults_serve_on_the_loopback_without_tls() {
    let settings = serve(&[], &[]);
    assert_eq!(settings.listen.client[0].to_string(), "http://127.0.0.1:2379");
    assert_eq!(settings.advertise_client_urls, ["http://127.0.0.1:2379"]);
    assert_eq!(settings.data_dir, PathBuf::from("taffrail.data"));
    assert_eq!(settings.limits.quota_bytes, Some(DEFAULT_QUOTA_BYTES));
    assert!(settings.tls.is_none() && settings.warnings.is_empty());
}

#[test]
fn a_flag_wins_over_the_environment() {
    let environment = [
        ("ETCD_NAME", "etcd"),
        ("TAFFRAIL_NAME", "ours"),
        ("ETCD_MAX_TXN_OPS", "7"),
    ];
    assert_eq!(serve(&["--name", "flag"], &environment).name, "flag");
    let settings = serve(&[], &environment);
    assert_eq!((settings.name.as_str(), settings.limits.max_txn_ops), ("ours", 7));
}

#[test]
fn a_file_shuts_everything_else_out_with_a_warning() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "name: from-file\nquota-backend-bytes: -1").unwrap();
    let path = file.path().to_str().unwrap();
    let settings = serve(&["--config-file", path, "--name", "flag"], &[("ETCD_NAME", "x")]);
    assert_eq!(
        (settings.name.as_str(), settings.limits.quota_bytes),
        ("from-file", None)
    );
    assert!(settings.warnings[0].contains("--name") && settings.warnings[0].contains("environment"));
}

#[test]
fn flags_without_meaning_are_named() {
    let settings = serve(
        &["--initial-cluster", "default=http://localhost:2380", "--pre-vote"],
        &[],
    );
    assert_eq!(
        settings.warnings,
        ["accepted, but without meaning here: --pre-vote"]
    );
}

#[test]
fn an_unknown_flag_is_refused_with_a_suggestion() {
    let what = refused(&["--dat-dir", "x"]);
    assert!(
        what.contains("--dat-dir") && what.contains("did you mean '--data-dir'?"),
        "{what}"
    );
    assert!(!what.contains('\n'), "{what}");
}

#[test]
fn bad_values_are_refused_in_one_line_that_names_the_flag() {
    let bad: &[(&[&str], &str)] = &[
        (&["--listen-client-urls", "nope"], "--listen-client-urls"),
        (&["--listen-client-urls", "https://127.0.0.1:1"], "--cert-file"),
        (&["--auto-compaction-mode", "x"], "--auto-compaction-mode"),
        (
            &[
                "--auto-compaction-mode=revision",
                "--auto-compaction-retention=1h",
            ],
            "--auto-compaction-retention",
        ),
        (&["--max-txn-ops", "0"], "--max-txn-ops"),
        (&["--metrics", "much"], "--metrics"),
        (&["--client-cert-auth=perhaps"], "--client-cert-auth"),
        (&["--auto-tls"], "--auto-tls"),
    ];
    for (arguments, names) in bad {
        let what = refused(arguments);
        assert!(
            what.contains(names) && !what.contains('\n'),
            "{arguments:?}: {what}"
        );
    }
}

#[test]
fn retention_is_read_as_etcd_reads_it() {
    let hours = |n: u64| AutoCompaction::Periodic(Duration::from_secs(n * 3600));
    let expected = [
        ("periodic", "0", AutoCompaction::Off),
        ("periodic", "1", hours(1)),
        ("periodic", "2h", hours(2)),
        ("revision", "1000", AutoCompaction::Revision(1000)),
    ];
    for (mode, retention, meaning) in expected {
        assert_eq!(
            auto_compaction(mode, retention).unwrap(),
            meaning,
            "{mode} {retention}"
        );
    }
}

#[test]
fn tls_is_read_with_etcds_names() {
    let settings = serve(
        &[
            "--listen-client-urls=https://127.0.0.1:1",
            "--cert-file=c",
            "--key-file=k",
            "--trusted-ca-file=ca",
            "--client-cert-auth",
            "--tls-min-version=TLS1.3",
        ],
        &[],
    );
    let tls = settings.tls.unwrap();
    assert_eq!(
        (tls.client_authority, tls.versions.len()),
        (Some(PathBuf::from("ca")), 1)
    );
}

#[test]
fn help_names_every_group() {
    let Err(SettingsError::Help(text)) = load_with(&["--help"], &[]) else {
        panic!("no help")
    };
    for heading in [
        "Member:",
        "Limits:",
        "Security:",
        "Keep-alive:",
        "Logs and metrics:",
        "ETCD_DATA_DIR",
    ] {
        assert!(text.contains(heading), "{heading} is missing in:\n{text}");
    }
}

//! The settings of TLS, checked for what can be known before any file is read.

use std::path::PathBuf;

use super::flags::SecurityFlags;
use super::{Listen, SettingsError};

/// The files and rules by which TLS is spoken with clients.
#[derive(Clone, Debug)]
pub(crate) struct TlsSettings {
    /// The certificate with its chain.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
    /// Who must have signed clients' certificates; `None` asks for none.
    pub(crate) client_authority: Option<PathBuf>,
    /// Client certificates that were revoked.
    pub(crate) revoked: Option<PathBuf>,
    /// Names, one of which a client's certificate must carry; empty allows any.
    pub(crate) allowed_names: Vec<String>,
    /// Protocol versions, in the order of preference.
    pub(crate) versions: Vec<&'static rustls::SupportedProtocolVersion>,
    /// Cipher suites by IANA name; empty means all that are safe.
    pub(crate) cipher_suites: Vec<String>,
}

/// The TLS settings, if any listener wants them.
pub(super) fn settings(
    flags: SecurityFlags,
    listen: &Listen,
    warnings: &mut Vec<String>,
) -> Result<Option<TlsSettings>, SettingsError> {
    if flags.auto_tls {
        return Err(SettingsError::bad(
            "--auto-tls is not supported: give --cert-file and --key-file",
        ));
    }
    let secure = listen
        .client
        .iter()
        .chain(&listen.http)
        .chain(&listen.metrics)
        .any(|url| url.secure);
    if !secure {
        if flags.cert_file.is_some() {
            warnings.push("--cert-file has no effect: no URL to listen on is https or unixs".to_owned());
        }
        return Ok(None);
    }
    let (Some(certificate), Some(key)) = (flags.cert_file, flags.key_file) else {
        return Err(SettingsError::bad(
            "https and unixs URLs need --cert-file and --key-file",
        ));
    };
    if flags.client_cert_auth && flags.trusted_ca_file.is_none() {
        return Err(SettingsError::bad("--client-cert-auth needs --trusted-ca-file"));
    }
    Ok(Some(TlsSettings {
        certificate,
        key,
        client_authority: flags.trusted_ca_file,
        revoked: flags.client_crl_file,
        allowed_names: flags.client_cert_allowed_hostname,
        versions: versions(&flags.tls_min_version, &flags.tls_max_version)?,
        cipher_suites: flags.cipher_suites,
    }))
}

fn versions(min: &str, max: &str) -> Result<Vec<&'static rustls::SupportedProtocolVersion>, SettingsError> {
    let known = [
        ("TLS1.2", &rustls::version::TLS12),
        ("TLS1.3", &rustls::version::TLS13),
    ];
    let index = |flag: &str, name: &str| {
        let found = known.iter().position(|(known, _)| *known == name);
        found.ok_or_else(|| SettingsError::bad(format!("{flag} {name:?}: expected TLS1.2 or TLS1.3")))
    };
    let min = index("--tls-min-version", min)?;
    let max = if max.is_empty() {
        known.len() - 1
    } else {
        index("--tls-max-version", max)?
    };
    if min > max {
        return Err(SettingsError::bad(
            "--tls-min-version is newer than --tls-max-version",
        ));
    }
    Ok(known[min..=max]
        .iter()
        .rev()
        .map(|(_, version)| *version)
        .collect())
}

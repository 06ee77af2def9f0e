//! Values as Go programs write them on their command lines.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What Go takes for a boolean.
pub(crate) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// What Go takes for a duration, such as `1h30m`, `2.5s` or `100ms`; negative ones are refused.
pub(crate) fn go_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a duration such as 500ms, 5s or 1h30m".to_owned();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        seconds += number * seconds_of_unit(&rest[..letters]).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| wrong())
        .and_then(|duration| {
            if text.is_empty() {
                Err(wrong())
            } else {
                Ok(duration)
            }
        })
}

fn seconds_of_unit(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return None,
    })
}

/// Where to listen, and whether TLS is spoken there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenUrl {
    /// Whether connections are TLS.
    pub(crate) secure: bool,
    /// The address itself.
    pub(crate) address: ListenAddress,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for ListenUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.secure { "s" } else { "" };
        match &self.address {
            ListenAddress::Tcp(address) => write!(f, "http{s}://{address}"),
            ListenAddress::Unix(path) => write!(f, "unix{s}://{}", path.display()),
        }
    }
}

impl FromStr for ListenUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or("expected a URL such as http://127.0.0.1:2379")?;
        let secure = matches!(scheme, "https" | "unixs");
        let address = match scheme {
            "http" | "https" => ListenAddress::Tcp(tcp_address(rest.strip_suffix('/').unwrap_or(rest))?),
            "unix" | "unixs" if rest.is_empty() => return Err("expected a path after unix://".to_owned()),
            "unix" | "unixs" => ListenAddress::Unix(PathBuf::from(rest)),
            _ => {
                return Err(format!(
                    "unknown scheme {scheme}://: use http, https, unix or unixs"
                ));
            }
        };
        Ok(Self { secure, address })
    }
}

/// Takes an IP address, `localhost`, or nothing, which means every interface. Other names are refused,
/// as etcd does: what a name means may change under a listener.
fn tcp_address(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected a port")?;
    let port: u16 = port.parse().map_err(|_| format!("{port:?} is no port"))?;
    let ip = match host {
        "" => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse()
            .map_err(|_| format!("expected an IP address or localhost, not {host:?}"))?,
    };
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("5s", 5000),
            ("1h30m", 5_400_000),
            ("1.5s", 1500),
            ("100ms", 100),
        ] {
            assert_eq!(go_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5 s", "-5s", "1d"] {
            assert!(go_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listen_urls_are_read_and_written_alike() {
        let same = [
            "http://127.0.0.1:2379",
            "https://[::1]:1",
            "unix:///run/kine.sock:12379",
            "unixs://a:0",
        ];
        for text in same {
            assert_eq!(text.parse::<ListenUrl>().unwrap().to_string(), text);
        }
        assert_eq!(
            "http://localhost:1/".parse::<ListenUrl>().unwrap().to_string(),
            "http://127.0.0.1:1"
        );
        assert_eq!(
            "http://:1".parse::<ListenUrl>().unwrap().to_string(),
            "http://[::]:1"
        );
    }

    #[test]
    fn listen_urls_that_cannot_be_bound_are_refused() {
        for text in [
            "",
            "127.0.0.1:1",
            "ftp://127.0.0.1:1",
            "http://example.com:1",
            "http://127.0.0.1",
            "unix://",
        ] {
            assert!(text.parse::<ListenUrl>().is_err(), "{text}");
        }
    }
}

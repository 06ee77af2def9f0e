//! Downgrades: what etcd refuses is refused in its words, and the rest in ours.

use proto::etcdserverpb::DowngradeRequest;
use proto::etcdserverpb::downgrade_request::DowngradeAction;
use tonic::Status;

/// Whether the request can be answered. Only calling a downgrade off can: there never is one.
///
/// # Errors
/// etcd's for a bad version; `Unimplemented` for a good one, since there is no older format to step back to.
pub(super) fn check(request: &DowngradeRequest, cluster_version: &str) -> Result<(), Status> {
    match DowngradeAction::try_from(request.action) {
        Ok(DowngradeAction::Validate | DowngradeAction::Enable) => {
            check_target(&request.version, cluster_version)?;
            Err(Status::unimplemented(
                "taffrail: the log has no older format of etcd to be taken back to",
            ))
        }
        Ok(DowngradeAction::Cancel) => Ok(()),
        Err(_) => Err(Status::unknown("etcdserver: unknown method")),
    }
}

/// etcd goes back by one minor version, and ignores the patch version it is asked for.
fn check_target(target: &str, cluster_version: &str) -> Result<(), Status> {
    let wrong = || Status::invalid_argument("etcdserver: wrong downgrade target version format");
    let wanted = minor(target)
        .or_else(|| minor(&format!("{target}.0")))
        .ok_or_else(wrong)?;
    let allowed = minor(cluster_version).map(|(major, minor)| (major, minor - 1));
    if Some(wanted) == allowed {
        return Ok(());
    }
    Err(Status::invalid_argument(
        "etcdserver: invalid downgrade target version",
    ))
}

/// Major and minor number of a semantic version, which has three numbers and may have a suffix.
fn minor(version: &str) -> Option<(i64, i64)> {
    let core = version.split(['-', '+']).next()?;
    let numbers: Vec<i64> = core
        .split('.')
        .map(|number| number.parse().ok())
        .collect::<Option<_>>()?;
    match numbers[..] {
        [major, minor, _] => Some((major, minor)),
        _ => None,
    }
}

/// A version as etcd names that of a cluster: major and minor number.
pub(super) fn without_patch(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn code(action: i32, version: &str) -> Code {
        let request = DowngradeRequest {
            action,
            version: version.into(),
        };
        check(&request, "3.7.0").map_or_else(|status| status.code(), |()| Code::Ok)
    }

    #[test]
    fn bad_targets_are_refused_as_etcd_does() {
        for version in ["", "x", "4", "3.6.0.1", "3.6.0.0"] {
            let request = DowngradeRequest {
                action: 0,
                version: version.into(),
            };
            let status = check(&request, "3.7.0").expect_err("refused");
            assert_eq!(
                status.message(),
                "etcdserver: wrong downgrade target version format",
                "{version}"
            );
        }
        for version in ["3.5", "3.7", "3.7.1", "2.6"] {
            assert_eq!(code(1, version), Code::InvalidArgument, "{version}");
        }
    }

    #[test]
    fn good_targets_are_not_implemented() {
        for version in ["3.6", "3.6.9", "3.6.0-rc.1"] {
            assert_eq!(code(0, version), Code::Unimplemented, "{version}");
        }
    }

    #[test]
    fn calling_off_is_always_fine() {
        assert_eq!((code(2, ""), code(7, "3.6")), (Code::Ok, Code::Unknown));
        assert_eq!(without_patch("3.7.0"), "3.7");
    }
}

//! Planted in the ends of leases.

use super::*;

/// Seconds in nanoseconds.
const SECOND: u64 = 1_000_000_000;

/// A history in which the cluster does something wrong to a lease, if there was an occasion for it. Every call was
/// answered: one without an answer might have deleted the keys.
fn planted(bug: Bug, seed: u64) -> Option<History> {
    history_with(Shape {
        seed,
        clients: 6,
        calls: 500,
        lost: 0,
        streams: 3,
        bug: Some(bug),
    })
}

fn caught_by(bug: Bug, guarantee: Guarantee, blind: impl Fn(&mut History)) {
    let mut planted = 0;
    for seed in 0..80 {
        let Some(mut history) = self::planted(bug, seed) else {
            continue;
        };
        blind(&mut history);
        planted += 1;
        let report = check(&history);
        let mut found = report.violations.iter();
        let is_named = found.any(|violation| violation.guarantee == guarantee);
        assert!(is_named, "seed {seed}: {report}");
    }
    assert!(planted >= 20, "planted only {planted} times");
}

/// Nobody was told that a lease is gone.
fn forget_refusals(history: &mut History) {
    let missed = Outcome::Refused(Refusal::LeaseNotFound);
    history.calls.retain(|call| call.outcome != missed);
    history.renewals.retain(|renewal| renewal.ttl != Some(0));
    history.fates.clear();
}

#[test]
fn a_lease_whose_keys_go_early_is_caught() {
    caught_by(Bug::EarlyEnd, Guarantee::LeaseKept, forget_refusals);
}

/// An order has no place for an end that comes too early, whatever else is looked at.
#[test]
fn a_lease_that_ends_early_leaves_no_order() {
    let mut planted = 0;
    for history in (0..80).filter_map(|seed| self::planted(Bug::EarlyEnd, seed)) {
        planted += 1;
        let verdict = check(&history).verdict;
        assert!(matches!(verdict, Verdict::NotLinearizable(_)), "{verdict:?}");
    }
    assert!(planted >= 20, "planted only {planted} times");
}

#[test]
fn a_lease_that_never_ends_is_caught() {
    caught_by(Bug::NoEnd, Guarantee::LeaseEnds, |_| {});
}

#[test]
fn a_lease_that_ends_without_its_keys_is_caught() {
    caught_by(Bug::EndWithoutKeys, Guarantee::LeaseEnds, |_| {});
}

#[test]
fn a_lease_whose_keys_go_one_by_one_is_caught() {
    caught_by(Bug::SplitEnd, Guarantee::LeaseWhole, |_| {});
}

/// A keep-alive that was answered in good time for another one, or a question, right after it, and that no client ended.
fn kept(history: &History) -> Option<Renewal> {
    let revoked = |lease| {
        let revoke = Request::LeaseRevoke { id: lease };
        history.calls.iter().any(|call| call.request == revoke)
    };
    let granted = |lease, now| {
        let granted = |call: &Call| {
            matches!(call.request, Request::LeaseGrant { id, .. } if id == lease)
                && matches!(call.outcome, Outcome::Answered(_))
                && call.returned <= now
        };
        history.calls.iter().any(granted)
    };
    let good = |renewal: &&Renewal| {
        let ttl = u64::try_from(renewal.ttl.unwrap_or(0)).unwrap_or(0);
        let time = ttl * SECOND > renewal.returned - renewal.invoked + 2;
        time && !revoked(renewal.lease) && granted(renewal.lease, renewal.returned)
    };
    let all: Vec<_> = history.renewals.iter().filter(good).collect();
    middle(&all).cloned()
}

#[test]
fn a_keep_alive_that_finds_no_lease_too_early_is_caught() {
    let miss = |history: &mut History| {
        let kept = kept(history)?;
        history.renewals.push(Renewal {
            invoked: kept.returned + 1,
            returned: kept.returned + 2,
            ttl: Some(0),
            ..kept
        });
        Some(())
    };
    caught(miss, &[Guarantee::LeaseKept]);
}

#[test]
fn a_put_that_finds_no_lease_too_early_is_caught() {
    let miss = |history: &mut History| {
        let kept = kept(history)?;
        history.calls.push(Call {
            client: 99,
            member: 0,
            invoked: kept.returned + 1,
            returned: kept.returned + 2,
            request: Request::Put(Put {
                key: "k/1".into(),
                lease: kept.lease,
                ..Put::default()
            }),
            outcome: Outcome::Refused(Refusal::LeaseNotFound),
        });
        Some(())
    };
    caught(miss, &[Guarantee::LeaseKept]);
}

#[test]
fn a_lease_that_is_gone_too_early_when_it_is_asked_about_is_caught() {
    let miss = |history: &mut History| {
        let kept = kept(history)?;
        let mut fates = history.fates.iter_mut();
        let fate = fates.find(|fate| fate.lease == kept.lease)?;
        (fate.asked, fate.at) = (kept.returned + 1, kept.returned + 2);
        Some(())
    };
    caught(miss, &[Guarantee::LeaseKept]);
}

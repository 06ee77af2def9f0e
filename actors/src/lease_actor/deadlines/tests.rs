//! What becomes of leases, step by step, at times that the test names.

use super::*;

type Answered = oneshot::Receiver<Result<KeepAliveReply, RequestError>>;

const ID: LeaseId = LeaseId(7);

fn lease(id: i64, ttl: i64, deadline_ms: i64) -> Lease {
    Lease {
        id: LeaseId(id),
        ttl,
        deadline_ms,
    }
}

fn keeper() -> (Keeper, Answered) {
    let (answer, answered) = oneshot::channel();
    (
        Keeper {
            revision: Revision(1),
            answer,
        },
        answered,
    )
}

fn ttl_told(answered: &mut Answered) -> Option<i64> {
    answered
        .try_recv()
        .ok()
        .map(|reply| reply.expect("a time to live").ttl)
}

/// One lease of ten seconds, granted at 0.
fn granted() -> Deadlines {
    let mut deadlines = Deadlines::default();
    deadlines.granted(lease(7, 10, 10_000), 0);
    deadlines
}

/// The same after a keep-alive at `now_ms` began to store its renewal.
fn storing(now_ms: i64) -> (Deadlines, Renewal, Answered) {
    let mut deadlines = granted();
    let (keeper, answered) = keeper();
    let KeptAlive::Store(renewal) = deadlines.keep_alive(ID, now_ms, keeper) else {
        panic!("no write")
    };
    (deadlines, renewal, answered)
}

fn store(deadlines: &mut Deadlines, renewal: Renewal, now_ms: i64) -> (usize, Option<Renewal>) {
    deadlines.stored(lease(renewal.id.0, 10, renewal.deadline_ms));
    deadlines.settle(renewal, Ok(()), now_ms)
}

#[test]
fn a_lease_is_due_when_its_time_is_over_and_not_before() {
    let mut deadlines = granted();
    assert_eq!(deadlines.take_due(9_999, 10), []);
    assert_eq!(deadlines.take_due(10_000, 10), [ID]);
    assert_eq!(deadlines.take_due(20_000, 10), [], "it is being revoked");
    assert_eq!(
        (deadlines.by_expiry(), deadlines.len()),
        (vec![ID], 1),
        "it is there until that is done"
    );
    assert!(deadlines.revoked(ID));
    assert_eq!((deadlines.by_expiry(), deadlines.len()), (vec![], 0));
}

#[test]
fn a_renewal_is_stored_ahead_and_those_within_the_slack_cost_nothing() {
    let (mut deadlines, renewal, mut first) = storing(3_000);
    assert_eq!(
        renewal,
        Renewal {
            id: ID,
            deadline_ms: 23_000
        },
        "the promise and a slack of ten seconds"
    );
    assert_eq!(ttl_told(&mut first), None, "not before it is durable");
    assert_eq!(store(&mut deadlines, renewal, 3_010), (1, None));
    assert_eq!(ttl_told(&mut first), Some(10));
    for now_ms in [6_000, 9_000, 13_000] {
        let (keeper, mut answered) = keeper();
        assert_eq!(
            deadlines.keep_alive(ID, now_ms, keeper),
            KeptAlive::Renewed,
            "at {now_ms}"
        );
        assert_eq!(ttl_told(&mut answered), Some(10));
    }
    let (keeper, _answered) = keeper();
    let next = Renewal {
        id: ID,
        deadline_ms: 33_001,
    };
    assert_eq!(deadlines.keep_alive(ID, 13_001, keeper), KeptAlive::Store(next));
}

#[test]
fn the_slack_is_the_time_to_live_within_bounds() {
    assert_eq!(
        [2, 5, 30, 60, 3600, i64::MAX].map(Lease::slack_ms),
        [5_000, 5_000, 30_000, 60_000, 60_000, 60_000]
    );
}

#[test]
fn keep_alives_of_one_lease_share_the_write() {
    let (mut deadlines, renewal, mut first) = storing(3_000);
    let (keeper, mut second) = keeper();
    assert_eq!(deadlines.keep_alive(ID, 3_500, keeper), KeptAlive::Shares);
    assert_eq!(store(&mut deadlines, renewal, 4_000), (2, None));
    assert_eq!(
        [ttl_told(&mut first), ttl_told(&mut second)],
        [Some(10), Some(10)]
    );
    assert_eq!(
        deadlines.take_due(13_999, 10),
        [],
        "the full time since the answer"
    );
    assert_eq!(deadlines.take_due(14_000, 10), [ID]);
}

#[test]
fn a_write_that_outlasts_the_slack_is_followed_by_another_and_the_lease_lives_meanwhile() {
    let (mut deadlines, renewal, mut answered) = storing(3_000);
    assert_eq!(deadlines.take_due(19_000, 10), [], "due, but renewed in time");
    let again = Renewal {
        id: ID,
        deadline_ms: 39_000,
    };
    assert_eq!(store(&mut deadlines, renewal, 19_000), (0, Some(again)));
    assert_eq!(ttl_told(&mut answered), None);
    assert_eq!(store(&mut deadlines, again, 19_500), (1, None));
    assert_eq!(ttl_told(&mut answered), Some(10));
    assert_eq!(deadlines.take_due(29_499, 10), []);
}

#[test]
fn nobody_is_left_to_write_for_once_all_keepers_went_away() {
    let (mut deadlines, renewal, answered) = storing(3_000);
    drop(answered);
    assert_eq!(store(&mut deadlines, renewal, 40_000), (0, None));
    assert_eq!(deadlines.take_due(40_000, 10), [ID]);
}

#[test]
fn a_renewal_that_was_not_stored_is_no_promise() {
    let (mut deadlines, renewal, mut answered) = storing(3_000);
    let full = RequestError::Refused(model::Refusal::NoSpace);
    assert_eq!(deadlines.settle(renewal, Err(full.clone()), 3_100), (0, None));
    assert_eq!(answered.try_recv(), Ok(Err(full)));
    let (keeper, _answered) = keeper();
    assert!(
        matches!(deadlines.keep_alive(ID, 3_200, keeper), KeptAlive::Store(_)),
        "the next one tries again"
    );
}

#[test]
fn a_lease_that_is_over_cannot_be_kept_alive_even_if_its_revocation_fails() {
    let mut deadlines = granted();
    let gone = |deadlines: &mut Deadlines, now_ms| {
        let (keeper, mut answered) = keeper();
        assert_eq!(deadlines.keep_alive(ID, now_ms, keeper), KeptAlive::Gone);
        assert_eq!(ttl_told(&mut answered), Some(0));
    };
    gone(&mut deadlines, 10_000);
    assert_eq!(deadlines.take_due(10_001, 10), [ID]);
    gone(&mut deadlines, 10_002);
    deadlines.retry(ID);
    gone(&mut deadlines, 10_003);
    assert_eq!(deadlines.time_to_live(ID, 10_003), Some((0, 10)));
    assert_eq!(deadlines.take_due(10_004, 10), [ID]);
}

#[test]
fn a_lease_revoked_under_its_renewal_answers_zero() {
    let (mut deadlines, renewal, mut answered) = storing(3_000);
    deadlines.revoked(ID);
    assert_eq!(ttl_told(&mut answered), Some(0));
    assert_eq!(
        deadlines.settle(renewal, Err(RequestError::Stopped), 3_100),
        (0, None)
    );
}

#[test]
fn an_answer_about_a_lease_of_before_does_not_touch_the_one_granted_since() {
    let (mut deadlines, renewal, _answered) = storing(3_000);
    deadlines.revoked(ID);
    deadlines.granted(lease(7, 10, 14_000), 4_000);
    assert_eq!(deadlines.settle(renewal, Ok(()), 4_100), (0, None));
    assert_eq!(deadlines.take_due(14_000, 10), [ID]);
    deadlines.revoked(ID);
    deadlines.granted(lease(7, 10, 24_000), 14_000);
    deadlines.retry(ID);
    assert_eq!(
        deadlines.take_due(14_100, 10),
        [],
        "a failed revocation was of the lease before"
    );
}

#[test]
fn what_is_due_is_taken_as_far_as_there_is_room_first_what_failed() {
    let mut deadlines = Deadlines::default();
    (1..=5).for_each(|id| deadlines.granted(lease(id, 10, 10_000), id));
    assert_eq!(deadlines.take_due(20_000, 2), [1, 2].map(LeaseId));
    deadlines.retry(LeaseId(1));
    assert_eq!(deadlines.take_due(20_000, 2), [1, 3].map(LeaseId));
    assert_eq!(deadlines.take_due(20_000, 9), [4, 5].map(LeaseId));
}

#[test]
fn a_restart_goes_on_from_the_stored_deadline() {
    let left = |stored_ms, now_ms| {
        let deadlines = Deadlines::load([lease(7, 30, stored_ms)], now_ms);
        deadlines.next_due_ms().expect("a lease") - now_ms
    };
    assert_eq!(
        left(112_000, 100_000),
        12_000,
        "neither shortened nor started over"
    );
    assert_eq!(
        left(150_000, 100_000),
        50_000,
        "longer than promised by no more than the slack"
    );
    assert_eq!(
        left(101_000, 100_000),
        5_000,
        "a moment for its clients to come back"
    );
    assert_eq!(left(0, 100_000), 5_000, "it ended while the server was down");
    assert_eq!(
        left(100_000, 0),
        60_000,
        "the time to live and the slack: the clock went back"
    );
    let short = Deadlines::load([lease(7, 2, 0)], 100_000);
    assert_eq!(
        short.next_due_ms(),
        Some(102_000),
        "never more than it was granted"
    );
}

#[test]
fn time_left_is_told_in_whole_seconds_and_never_more_than_granted() {
    let deadlines = granted();
    assert_eq!(deadlines.time_to_live(ID, 1), Some((9, 10)));
    assert_eq!(deadlines.time_to_live(ID, 9_500), Some((0, 10)));
    assert_eq!(deadlines.time_to_live(LeaseId(8), 0), None);
    let loaded = Deadlines::load([lease(7, 10, 15_000)], 0);
    assert_eq!(
        loaded.time_to_live(ID, 0),
        Some((10, 10)),
        "the slack is not shown"
    );
}

#[test]
fn leases_are_listed_by_expiry() {
    let mut deadlines = Deadlines::default();
    for (id, ttl) in [(1, 30), (2, 10), (3, 20)] {
        deadlines.granted(lease(id, ttl, ttl * 1000), 0);
    }
    assert_eq!(deadlines.by_expiry(), [2, 3, 1].map(LeaseId));
    let (keeper, _answered) = keeper();
    deadlines.keep_alive(LeaseId(2), 9_000, keeper);
    assert_eq!(deadlines.by_expiry(), [2, 3, 1].map(LeaseId));
    let (keeper, _answered) = self::keeper();
    deadlines.keep_alive(LeaseId(2), 9_900, keeper);
    deadlines.keep_alive(LeaseId(3), 9_950, self::keeper().0);
    assert_eq!(deadlines.by_expiry(), [2, 3, 1].map(LeaseId));
    assert_eq!(
        deadlines.take_due(29_960, 10),
        [],
        "renewals under way hold what is due"
    );
}

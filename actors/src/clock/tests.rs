use super::*;

fn booted(id: &str, uptime_ms: i64, wall_ms: i64) -> Reading {
    Reading {
        wall_ms,
        boot: Some(Boot {
            id: id.to_owned(),
            uptime_ms,
        }),
    }
}

#[test]
fn without_a_reboot_a_step_of_the_wall_clock_changes_nothing() {
    let anchor = Anchor {
        lease_ms: 70_000,
        reading: booted("one", 5_000, 1_000_000),
        shared: false,
    };
    for wall_ms in [0, 1_003_000, 900_000_000] {
        assert_eq!(
            anchor.resumed_at(&booted("one", 8_000, wall_ms)),
            73_000,
            "wall clock at {wall_ms}"
        );
    }
}

#[test]
fn after_a_reboot_the_wall_clock_tells_how_long_the_machine_was_off() {
    let anchor = Anchor {
        lease_ms: 70_000,
        reading: booted("one", 5_000, 1_000_000),
        shared: false,
    };
    assert_eq!(anchor.resumed_at(&booted("two", 6_000, 1_030_000)), 100_000);
    assert_eq!(
        anchor.resumed_at(&booted("two", 6_000, 0)),
        70_000,
        "never back, when the wall clock was lost"
    );
    let unknown = Reading {
        wall_ms: 1_030_000,
        boot: None,
    };
    assert_eq!(anchor.resumed_at(&unknown), 100_000);
    let shrunk = booted("one", 4_000, 1_030_000);
    assert_eq!(
        anchor.resumed_at(&shrunk),
        100_000,
        "an uptime that went back says nothing"
    );
}

#[test]
fn the_anchor_is_written_again_when_it_stops_being_true() {
    let anchor = Anchor {
        lease_ms: 70_000,
        reading: booted("one", 5_000, 1_000_000),
        shared: false,
    };
    let later = |uptime_ms, wall_ms| Anchor {
        lease_ms: 80_000,
        reading: booted("one", uptime_ms, wall_ms),
        shared: false,
    };
    assert!(
        anchor.is_true_for(&later(15_000, 1_010_000)),
        "all clocks went on together"
    );
    assert!(
        !anchor.is_true_for(&later(15_000, 1_410_000)),
        "the wall clock was stepped"
    );
    assert!(
        !anchor.is_true_for(&later(45_000, 1_040_000)),
        "the machine slept"
    );
    let much_later = Anchor {
        lease_ms: 1_070_000,
        reading: booted("one", 1_005_000, 2_000_000),
        shared: false,
    };
    assert!(!anchor.is_true_for(&much_later), "old");
}

#[test]
fn an_anchor_is_read_as_it_was_written() {
    let anchor = Anchor {
        lease_ms: -3,
        reading: booted("0c06", 5_000, 1_000_000),
        shared: false,
    };
    assert_eq!(Anchor::from_text(&anchor.to_text()), Some(anchor.clone()));
    let shared = Anchor {
        shared: true,
        ..anchor.clone()
    };
    assert_eq!(Anchor::from_text(&shared.to_text()), Some(shared));
    let unknown = Anchor {
        reading: Reading {
            boot: None,
            ..anchor.reading
        },
        ..anchor
    };
    assert_eq!(Anchor::from_text(&unknown.to_text()), Some(unknown));
    for broken in [
        "",
        "lease_ms 4\nwall_ms 4\n",
        "taffrail lease clock 1\nlease_ms four\nwall_ms 4\n",
    ] {
        assert_eq!(Anchor::from_text(broken), None, "{broken:?}");
    }
}

#[test]
fn uptime_is_read_with_its_decimals() {
    assert_eq!(uptime_ms("1625.96 1394.88\n"), Some(1_625_960));
    assert_eq!(uptime_ms("7.05 1.00\n"), Some(7_050));
    for broken in ["", "12", "1.2 3.4", "x.00 1"] {
        assert_eq!(uptime_ms(broken), None, "{broken:?}");
    }
}

#[test]
fn a_clock_goes_on_where_the_run_before_left_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("lease-clock");
    let ahead = Anchor {
        lease_ms: 7_000_000_000_000,
        reading: Reading::now(),
        shared: false,
    };
    replace_file(&path, &ahead.to_text()).expect("written");
    let first = LeaseClock::resume(&path).now_ms();
    let second = LeaseClock::resume(&path).now_ms();
    println!(
        "anchor {}, first run {first}, second run {second}",
        ahead.lease_ms
    );
    assert!(first >= ahead.lease_ms && first < ahead.lease_ms + 10_000);
    // The time since boot is told in hundredths of a second.
    assert!(second >= first - 10 && second < first + 10_000);
}

#[test]
fn a_broken_or_missing_anchor_begins_at_the_wall_clock() {
    let dir = tempfile::tempdir().expect("a directory");
    for content in [None, Some("scribble")] {
        let path = dir.path().join("lease-clock");
        if let Some(content) = content {
            fs::write(&path, content).expect("written");
        }
        let begun = Reading::now().wall_ms;
        let clock = LeaseClock::resume(&path);
        assert!(
            clock.now_ms() >= begun && clock.now_ms() < begun + 10_000,
            "{content:?}"
        );
        assert!(read_anchor(&path).is_some(), "the next run finds an anchor");
    }
}

/// Half an hour into the cluster's time, with a wall clock that is an hour off.
#[tokio::test(start_paused = true)]
async fn a_new_leader_goes_on_with_the_time_of_the_cluster() {
    const HOUR_MS: i64 = 3_600_000;
    let stored_ms = 10 * HOUR_MS;
    for off_ms in [-HOUR_MS, HOUR_MS] {
        let clock = LeaseClock::beginning_at(stored_ms + off_ms);
        clock.lead_from(0);
        assert_eq!(clock.now_ms(), stored_ms + off_ms, "no lease was ever stored");
        clock.lead_from(stored_ms);
        assert_eq!(clock.now_ms(), stored_ms, "it had heard of no leader");

        let followed = LeaseClock::beginning_at(stored_ms + off_ms);
        followed.align(stored_ms + HOUR_MS / 2);
        followed.lead_from(stored_ms);
        assert_eq!(followed.now_ms(), stored_ms + HOUR_MS / 2, "it had heard of one");
        followed.lead_from(stored_ms + HOUR_MS);
        assert_eq!(followed.now_ms(), stored_ms + HOUR_MS, "its machine had slept");
    }
}

#[tokio::test(start_paused = true)]
async fn clones_count_the_same_monotonic_time() {
    let clock = LeaseClock::fresh();
    let (begun, clone) = (clock.now_ms(), clock.clone());
    tokio::time::advance(Duration::from_millis(1_234)).await;
    assert_eq!((clock.now_ms() - begun, clone.now_ms() - begun), (1_234, 1_234));
}

#[test]
fn a_run_knows_that_the_one_before_led_however_soon_it_ended() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("clock");
    let first = LeaseClock::resume(&path);
    let stored_ms = first.now_ms() - 8_000;
    first.leads();
    let second = LeaseClock::resume(&path);
    let resumed_ms = second.now_ms();
    second.lead_from(stored_ms);
    assert!(second.now_ms() >= resumed_ms, "it went back by eight seconds");
}

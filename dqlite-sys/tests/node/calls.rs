//! Every bound function, called as an embedder calls it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use dqlite_sys::*;

use crate::member::{Member, text};

#[test]
fn the_version_is_one_that_is_safe_to_embed() {
    // SAFETY: it has no arguments; the text is a constant.
    let (number, name) = unsafe { (dqlite_version_number(), CStr::from_ptr(dqlite_version_string)) };
    assert!(number >= 11806, "{number}");
    let expected = format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100);
    assert!(name.to_str().expect("text").contains(&expected), "{name:?}");
}

#[test]
fn a_null_node_has_a_message() {
    // SAFETY: asking of a null node is allowed.
    let message = unsafe { CStr::from_ptr(dqlite_node_errmsg(ptr::null_mut())) };
    assert!(!message.is_empty());
}

#[test]
fn ids_are_not_zero_and_differ() {
    // SAFETY: the text outlives the calls.
    let ids = unsafe {
        [
            dqlite_generate_node_id(c"here".as_ptr()),
            dqlite_generate_node_id(c"there".as_ptr()),
        ]
    };
    assert!(ids[0] != 0 && ids[1] != 0 && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn settings_are_taken_before_the_start_and_misuse_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut member = Member::create(1, "1", folder.path());
    let node = member.node();
    assert_eq!(member.bind("@"), DQLITE_OK);
    assert!(
        member.bound().starts_with('@') && member.bound().len() > 1,
        "{}",
        member.bound()
    );
    // SAFETY: the node lives and is not started.
    unsafe {
        assert_eq!(dqlite_node_set_network_latency_ms(node, 20), DQLITE_OK);
        assert_eq!(dqlite_node_set_network_latency_ms(node, 0), DQLITE_MISUSE);
        assert_eq!(dqlite_node_set_failure_domain(node, 7), DQLITE_OK);
        let dynamic = DQLITE_SNAPSHOT_TRAILING_DYNAMIC;
        assert_eq!(
            dqlite_node_set_snapshot_params_v2(node, 64, 128, dynamic),
            DQLITE_OK
        );
        assert_eq!(
            dqlite_node_set_snapshot_params_v2(node, 64, 128, 9),
            DQLITE_MISUSE
        );
        assert_eq!(
            dqlite_node_set_snapshot_params_v2(node, 128, 64, dynamic),
            DQLITE_MISUSE
        );
        assert_eq!(dqlite_node_set_block_size(node, 4096), DQLITE_OK);
        assert_ne!(dqlite_node_set_block_size(node, 4097), DQLITE_OK);
        assert_eq!(dqlite_node_set_target_voters(node, 3), DQLITE_OK);
        assert_eq!(dqlite_node_set_target_standbys(node, 1), DQLITE_OK);
        assert_eq!(dqlite_node_set_auto_recovery(node, false), DQLITE_OK);
        assert_eq!(dqlite_node_set_snapshot_compression(node, true), DQLITE_OK);
        assert_eq!(dqlite_node_enable_role_management(node), DQLITE_OK);
        assert_eq!(dqlite_node_set_busy_timeout(node, 1000), DQLITE_OK);
        assert_eq!(dqlite_node_stop(node), DQLITE_MISUSE);
        assert_eq!(dqlite_node_handover(node), DQLITE_MISUSE);
    }
    assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
    // SAFETY: the node lives.
    unsafe {
        assert_eq!(dqlite_node_set_network_latency_ms(node, 20), DQLITE_MISUSE);
        assert_eq!(dqlite_node_set_block_size(node, 4096), DQLITE_MISUSE);
    }
    assert_eq!(member.bind("@"), DQLITE_MISUSE);
    assert_eq!(member.stop(), DQLITE_OK);
}

#[test]
fn what_is_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut member = Member::first(folder.path());
    let mut client = member.open();
    client
        .execute("CREATE TABLE numbers (number INTEGER)")
        .expect("a table");
    assert_eq!(client.execute("INSERT INTO numbers VALUES (1), (2)"), Ok(2));
    assert_eq!(member.stop(), DQLITE_OK);
    drop(member);
    let member = Member::first(folder.path());
    assert_eq!(member.open().integer("SELECT sum(number) FROM numbers"), 3);
}

#[test]
fn a_folder_has_one_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = Member::first(folder.path());
    let mut second = Member::create(1, "1", folder.path());
    assert_eq!(second.bind("@"), DQLITE_OK);
    assert_ne!(second.start(), DQLITE_OK);
    assert!(second.errmsg().contains("lock"), "{}", second.errmsg());
}

#[test]
fn a_single_node_has_nobody_to_hand_over_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    // SAFETY: the node lives and runs.
    assert_ne!(unsafe { dqlite_node_handover(member.node()) }, DQLITE_OK);
    assert_eq!(member.open().integer("SELECT 1"), 1);
}

fn last_entry(member: &Member) -> (u64, u64) {
    let (mut index, mut term) = (0, 0);
    // SAFETY: the node is not started; the places outlive the call.
    let code = unsafe { dqlite_node_describe_last_entry(member.node(), &raw mut index, &raw mut term) };
    assert_eq!(code, DQLITE_OK);
    (index, term)
}

#[test]
fn a_stopped_node_is_recovered_with_other_members() {
    let folder = tempfile::tempdir().expect("a folder");
    let member = Member::first(folder.path());
    member.open().execute("CREATE TABLE kept (row)").expect("a table");
    drop(member);

    let member = Member::create(1, "1", folder.path());
    let (index, term) = last_entry(&member);
    assert!(index >= 2 && term >= 1, "{index} {term}");
    let address = text("1");
    let mut infos = [DqliteNodeInfoExt {
        size: size_of::<DqliteNodeInfoExt>() as u64,
        id: 1,
        address: address.as_ptr().expose_provenance() as u64,
        dqlite_role: DQLITE_VOTER,
    }];
    // SAFETY: the node is not started; the array and the text it points to outlive the call.
    let code = unsafe { dqlite_node_recover_ext(member.node(), infos.as_mut_ptr(), 1) };
    assert_eq!(code, DQLITE_OK, "{}", member.errmsg());
    drop(member);

    let member = Member::create(1, "1", folder.path());
    assert_eq!(last_entry(&member).0, index + 1, "the members are an entry");
    drop(member);
    assert_eq!(
        Member::first(folder.path())
            .open()
            .integer("SELECT count(*) FROM kept"),
        0
    );
}

/// Refuses to connect, and tells whom it was asked for.
unsafe extern "C" fn refuse(argument: *mut c_void, address: *const c_char, _: *mut c_int) -> c_int {
    // SAFETY: the node hands in what the test gave it, and a text.
    let (asked, address) = unsafe { (&*argument.cast::<Sender<CString>>(), CStr::from_ptr(address)) };
    asked.send(address.to_owned()).expect("the test waits");
    1
}

#[test]
fn other_nodes_are_reached_by_the_function_that_was_set() {
    let folder = tempfile::tempdir().expect("a folder");
    let (asked, addresses) = channel::<CString>();
    let mut member = Member::create(1, "1", folder.path());
    assert_eq!(member.bind("@"), DQLITE_OK);
    let argument = (&raw const asked).cast_mut().cast();
    assert_eq!(member.connect_with(refuse, argument), DQLITE_OK);
    assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
    let mut client = member.open();
    client.add(2, "nowhere").expect("it becomes a member");
    client.assign(2, DQLITE_STANDBY).expect("it becomes a standby");
    let address = addresses
        .recv_timeout(Duration::from_secs(20))
        .expect("the leader connects");
    assert_eq!(address.as_c_str(), c"nowhere");
    assert_eq!(member.stop(), DQLITE_OK);
}

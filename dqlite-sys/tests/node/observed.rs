//! What the nodes of a cluster tell of raft.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::ptr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use dqlite_sys::*;

use crate::member::Member;
use crate::wire::connect_abstract;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(30);

/// Connects to abstract sockets, which is all that this cluster listens on.
unsafe extern "C" fn connect(_: *mut c_void, address: *const c_char, descriptor: *mut c_int) -> c_int {
    // SAFETY: the node hands in a text.
    let address = unsafe { CStr::from_ptr(address) };
    let Ok(stream) = connect_abstract(address.to_str().expect("our address")) else {
        return 1;
    };
    // SAFETY: the node hands in a place to write to.
    unsafe { *descriptor = stream.into_raw_fd() };
    0
}

/// Who is told of changes: the node's place in the cluster, and where to say so.
struct Ear(usize, Sender<(usize, TaffrailRaft)>);

unsafe extern "C" fn tell(ear: *mut c_void, now: *const TaffrailRaft) {
    // SAFETY: the node hands in what the test gave it, and what it sees.
    let (Ear(place, told), now) = unsafe { (&*ear.cast::<Ear>(), *now) };
    // Nobody listens once the test is over.
    told.send((*place, now)).unwrap_or(());
}

/// Nodes, and what they told last.
struct Cluster {
    members: Vec<Member>,
    seen: Vec<TaffrailRaft>,
    told: Receiver<(usize, TaffrailRaft)>,
    /// Stay where they are, and outlive the members, which are dropped first.
    ears: Vec<Ear>,
}

impl Cluster {
    fn new(folders: &[&Path]) -> Self {
        let (tell, told) = channel();
        let ears: Vec<_> = (0..folders.len()).map(|place| Ear(place, tell.clone())).collect();
        let mut cluster = Self {
            members: Vec::new(),
            seen: vec![TaffrailRaft::default(); folders.len()],
            told,
            ears,
        };
        for (place, folder) in folders.iter().enumerate() {
            cluster.start(place, folder);
        }
        cluster
    }

    fn start(&mut self, place: usize, folder: &Path) {
        let mut member = Member::create(place as u64 + 1, &address(folder), folder);
        assert_eq!(member.bind(&address(folder)), DQLITE_OK);
        assert_eq!(member.connect_with(connect, ptr::null_mut()), DQLITE_OK);
        let ear = ptr::from_ref(&self.ears[place]).cast_mut().cast();
        // SAFETY: the node lives and is not started; the ear outlives it.
        let set = unsafe { taffrail_node_set_raft_changed(member.node(), Some(tell), ear) };
        assert_eq!(set, DQLITE_OK);
        assert_eq!(member.start(), DQLITE_OK, "{}", member.errmsg());
        self.members.push(member);
    }

    /// Hears what is told until what was seen is as asked.
    fn until(&mut self, what: &str, asked: impl Fn(&[TaffrailRaft]) -> bool) {
        let deadline = Instant::now() + LONG;
        while !asked(&self.seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            let told = self.told.recv_timeout(left);
            let (place, now) = told.unwrap_or_else(|_| panic!("{what}: {:#?}", self.seen));
            self.seen[place] = now;
        }
    }
}

/// A name that no other test has: the folder's.
fn address(folder: &Path) -> String {
    format!("@dqlite-sys{}", folder.display())
}

fn seen(member: &Member) -> TaffrailRaft {
    let mut now = TaffrailRaft::default();
    // SAFETY: the node lives, the place outlives the call.
    unsafe { taffrail_node_raft(member.node(), &raw mut now) };
    now
}

#[test]
fn a_single_node_leads_and_stops() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::new(&[folder.path()]);
    cluster.until("it leads", |seen| seen[0].state == TAFFRAIL_LEADER);
    let (term, commit) = (cluster.seen[0].term, cluster.seen[0].commit_index);
    assert!(term >= 1 && cluster.seen[0].leader == 1, "{:?}", cluster.seen);
    cluster.members[0]
        .open()
        .execute("CREATE TABLE rows (row)")
        .expect("a table");
    cluster.until("it is committed and applied", |seen| {
        seen[0].commit_index > commit && seen[0].applied_index == seen[0].commit_index
    });
    let now = seen(&cluster.members[0]);
    assert!(
        now.applied_index >= cluster.seen[0].applied_index && now.last_index >= now.commit_index,
        "{now:?}"
    );
    // SAFETY: the node lives.
    let set = unsafe { taffrail_node_set_raft_changed(cluster.members[0].node(), None, ptr::null_mut()) };
    assert_eq!(set, DQLITE_MISUSE);

    assert_eq!(cluster.members[0].stop(), DQLITE_OK);
    let now = seen(&cluster.members[0]);
    assert_eq!((now.state, now.leader, now.term), (TAFFRAIL_UNAVAILABLE, 0, term));
    cluster.until("that it stopped is told", |seen| seen[0] == now);
}

#[test]
fn a_cluster_tells_of_leaders_and_of_progress() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let paths: Vec<_> = folders.iter().map(tempfile::TempDir::path).collect();
    let mut cluster = Cluster::new(&paths);
    let mut client = cluster.members[0].open();
    for (place, path) in paths.iter().enumerate().skip(1) {
        client.add(place as u64 + 1, &address(path)).expect("a member");
        client.assign(place as u64 + 1, DQLITE_VOTER).expect("a voter");
    }
    client.execute("CREATE TABLE rows (row)").expect("a table");
    cluster.until("the first leads", |seen| {
        seen[0].state == TAFFRAIL_LEADER && seen.iter().all(|seen| seen.leader == 1)
    });
    let (before, reached) = (cluster.seen[0].term, seen(&cluster.members[0]).commit_index);
    cluster.until("all apply what is committed", |seen| {
        seen.iter().all(|seen| seen.applied_index >= reached)
    });

    // SAFETY: the node lives and runs.
    unsafe { dqlite_node_handover(cluster.members[0].node()) };
    cluster.until("another one leads", |seen| {
        let leader = seen.iter().position(|seen| seen.state == TAFFRAIL_LEADER);
        leader.is_some_and(|place| {
            let of_leader = (place as u64 + 1, seen[place].term);
            place > 0
                && of_leader.1 > before
                && seen[1..].iter().all(|seen| (seen.leader, seen.term) == of_leader)
        })
    });
    assert_ne!(seen(&cluster.members[0]).state, TAFFRAIL_LEADER);
}

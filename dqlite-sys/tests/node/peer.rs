//! Another node, in so far as a node can be made to speak to it.

use std::ffi::{c_char, c_int, c_void};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::sync::Mutex;
use std::time::Duration;

use socket2::SockRef;

use crate::wire::Client;

/// How long anything may take.
const LONG: Duration = Duration::from_secs(20);
const APPEND_ENTRIES: u64 = 1;
const APPEND_ENTRIES_RESULT: u64 = 2;
const COMMAND: u64 = 1;
const MEBIBYTE: usize = 1024 * 1024;

/// Where the node finds its peer, and the connections it was given.
pub struct Peer {
    listener: TcpListener,
    /// The node's ends, which are the node's own.
    pub given: Mutex<Vec<c_int>>,
}

impl Peer {
    /// A peer that listens.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        // On Linux this bounds waiting for a connection too.
        SockRef::from(&listener)
            .set_read_timeout(Some(LONG))
            .expect("a deadline");
        Self {
            listener,
            given: Mutex::new(Vec::new()),
        }
    }

    /// Has the node connect to this peer, whatever the address.
    ///
    /// # Safety
    ///
    /// `peer` is a [`Peer`] that outlives the node, and `descriptor` a place to write to.
    pub unsafe extern "C" fn connect(peer: *mut c_void, _: *const c_char, descriptor: *mut c_int) -> c_int {
        // SAFETY: what the caller promises.
        let peer = unsafe { &*peer.cast::<Self>() };
        let address: SocketAddr = peer.listener.local_addr().expect("it is bound");
        let Ok(stream) = TcpStream::connect(address) else {
            return 1;
        };
        let made = stream.into_raw_fd();
        peer.given.lock().expect("no panic").push(made);
        // SAFETY: what the caller promises.
        unsafe { *descriptor = made };
        0
    }

    /// What to hand to the node with [`Peer::connect`].
    pub fn as_argument(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Waits for the node to connect and to answer what [`append_entries`] sent. `None` if it does not.
    pub fn answered(&self) -> Option<TcpStream> {
        let (mut stream, _) = self.listener.accept().ok()?;
        stream.set_read_timeout(Some(LONG)).expect("a deadline");
        let mut number = || {
            let mut number = [0; 8];
            stream.read_exact(&mut number).ok()?;
            Some(u64::from_le_bytes(number))
        };
        assert_eq!(number()?, 1, "the handshake");
        let words = number()? & 0xffff_ffff;
        (0..words).try_for_each(|_| number().map(|_| ()))?;
        assert_eq!(number()?, APPEND_ENTRIES_RESULT);
        Some(stream)
    }
}

/// Sends an entry of a term long past, of so many MiB, which a node reads whole and then rejects, by a connection to its
/// peer. The connection that it came by must stay until then.
pub fn append_entries<S: Read + Write>(client: Client<S>, mebibytes: usize) -> std::io::Result<S> {
    let mut stream = client.become_peer(2, "2");
    let bytes = u64::try_from(mebibytes * MEBIBYTE).expect("not so long");
    let (term, previous, commit, count) = (0, [0, 0], 0, 1);
    let entry = [term, COMMAND | bytes << 32];
    let head = [[term].as_slice(), &previous, &[commit, count], &entry].concat();
    let preamble = [APPEND_ENTRIES, u64::try_from(head.len() * 8).expect("short")];
    for number in preamble.iter().chain(&head) {
        stream.write_all(&number.to_le_bytes())?;
    }
    let payload = vec![0; MEBIBYTE];
    (0..mebibytes).try_for_each(|_| stream.write_all(&payload))?;
    Ok(stream)
}

//! Members that have everything as soon as it is sent, and no disk: a leader with two of them commits without its own.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::member::Member;

const APPEND_ENTRIES: u64 = 1;
const APPEND_ENTRIES_RESULT: u64 = 2;
/// Bytes of the terms and indices before the entries' heads.
const PREFIX: usize = 32;

/// The members with the identities and addresses 2 and 3.
pub struct Followers {
    listeners: [TcpListener; 2],
}

impl Followers {
    /// Members that listen.
    pub fn new() -> Self {
        let listener = |_| TcpListener::bind("127.0.0.1:0").expect("a port");
        Self {
            listeners: [2, 3].map(listener),
        }
    }

    /// Has the node connect to one of them, or to nobody.
    ///
    /// # Safety
    ///
    /// `followers` is a [`Followers`] that outlives the node, `address` a text and `descriptor` a place to write to.
    pub unsafe extern "C" fn connect(
        followers: *mut c_void,
        address: *const c_char,
        descriptor: *mut c_int,
    ) -> c_int {
        // SAFETY: what the caller promises.
        let (followers, address) = unsafe { (&*followers.cast::<Self>(), CStr::from_ptr(address)) };
        let number = match address.to_bytes() {
            b"2" => 0,
            b"3" => 1,
            _ => return 1,
        };
        let address = followers.listeners[number].local_addr().expect("it is bound");
        let Ok(stream) = TcpStream::connect(address) else {
            return 1;
        };
        // SAFETY: what the caller promises.
        unsafe { *descriptor = stream.into_raw_fd() };
        0
    }

    /// What to hand to the node with [`Followers::connect`].
    pub fn as_argument(&self) -> *mut c_void {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// Has them follow a leader that runs, and makes them voters of it.
    pub fn follow(&self, leader: &Member) {
        for (listener, id) in self.listeners.iter().zip([2, 3]) {
            let answers = leader.client().become_peer(id, &id.to_string());
            let answers = Arc::new(Mutex::new(answers));
            let listener = listener.try_clone().expect("a descriptor");
            thread::spawn(move || {
                while let Ok((stream, _)) = listener.accept() {
                    let answers = Arc::clone(&answers);
                    thread::spawn(move || take_everything(stream, &answers));
                }
            });
            let mut client = leader.client();
            client.add(id, &id.to_string()).expect("it is added");
            client.assign(id, 0).expect("it has everything");
        }
    }
}

/// Says of every entry at once that it is stored, until the leader goes.
fn take_everything(mut from: TcpStream, answers: &Mutex<UnixStream>) -> Option<()> {
    assert_eq!(number(&mut from)?, 1, "the handshake");
    let words = number(&mut from)? & 0xffff_ffff;
    (0..words).try_for_each(|_| number(&mut from).map(drop))?;
    loop {
        let (kind, size) = (number(&mut from)?, number(&mut from)?);
        let mut head = vec![0; usize::try_from(size).ok()?];
        from.read_exact(&mut head).ok()?;
        if kind != APPEND_ENTRIES {
            continue;
        }
        let at = |offset: usize| head[offset..].first_chunk().copied().map(u64::from_le_bytes);
        let (term, previous, count) = (at(0)?, at(8)?, at(PREFIX)?);
        let lengths =
            (0..usize::try_from(count).ok()?).map(|entry| Some(at(PREFIX + 16 + 16 * entry)? >> 32));
        let length = lengths.sum::<Option<u64>>()?;
        std::io::copy(&mut (&mut from).take(length), &mut std::io::sink()).ok()?;
        let (rejected, features) = (0, 0);
        let answer = [
            APPEND_ENTRIES_RESULT,
            32,
            term,
            rejected,
            previous + count,
            features,
        ];
        let bytes: Vec<u8> = answer.iter().flat_map(|number| number.to_le_bytes()).collect();
        answers.lock().ok()?.write_all(&bytes).ok()?;
    }
}

fn number(from: &mut TcpStream) -> Option<u64> {
    let mut number = [0; 8];
    from.read_exact(&mut number).ok()?;
    Some(u64::from_le_bytes(number))
}

//! Counts connections to one database as they are opened, and those that have read its schema by then; and holds them up.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use libsqlite3_sys::{
    SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_OK, sqlite3, sqlite3_api_routines, sqlite3_auto_extension,
    sqlite3_db_filename, sqlite3_db_status,
};

/// The database whose connections are counted: other tests of this process open others.
pub const COUNTED: &str = "counted";

static OPENED: AtomicUsize = AtomicUsize::new(0);
static READ: AtomicUsize = AtomicUsize::new(0);
/// Whether who opens a connection is to wait.
static HELD_UP: Mutex<bool> = Mutex::new(false);
static LET_GO: Condvar = Condvar::new();

/// From now on nobody gets a connection.
pub fn hold_up() {
    *HELD_UP.lock().expect("no panic") = true;
}

/// Everybody gets one.
pub fn let_go() {
    *HELD_UP.lock().expect("no panic") = false;
    LET_GO.notify_all();
}

/// One test at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

/// Begins to count, for one test. After a node was made, so that what dqlite does with a new connection is done by then.
pub fn count() -> MutexGuard<'static, ()> {
    let counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the function is one of those that SQLite calls with a connection that it opens.
    assert_eq!(unsafe { sqlite3_auto_extension(Some(look)) }, SQLITE_OK);
    taken();
    counting
}

/// How many were opened so far.
pub fn so_far() -> usize {
    OPENED.load(Ordering::SeqCst)
}

/// How many were opened since the last time, and how many of these had read the schema.
pub fn taken() -> (usize, usize) {
    (OPENED.swap(0, Ordering::SeqCst), READ.swap(0, Ordering::SeqCst))
}

/// Whether a connection is one of this database.
///
/// # Safety
///
/// The connection is open.
pub unsafe fn is_of(connection: *mut sqlite3, database: &str) -> bool {
    // SAFETY: the connection is open, and its name is there for as long.
    let name = unsafe { sqlite3_db_filename(connection, c"main".as_ptr()) };
    // SAFETY: it is null or a text.
    !name.is_null() && unsafe { CStr::from_ptr(name) }.to_bytes() == database.as_bytes()
}

unsafe extern "C" fn look(
    connection: *mut sqlite3,
    _: *mut *mut c_char,
    _: *const sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite gives a connection that is open.
    if !unsafe { is_of(connection, COUNTED) } {
        return SQLITE_OK;
    }
    let (mut bytes, mut most) = (0, 0);
    // SAFETY: the connection is open and the places outlive the call.
    let code = unsafe {
        sqlite3_db_status(
            connection,
            SQLITE_DBSTATUS_SCHEMA_USED,
            ptr::from_mut(&mut bytes),
            ptr::from_mut(&mut most),
            0,
        )
    };
    OPENED.fetch_add(1, Ordering::SeqCst);
    let held_up = HELD_UP.lock().expect("no panic");
    drop(LET_GO.wait_while(held_up, |held_up| *held_up));
    READ.fetch_add(usize::from(code != SQLITE_OK || bytes > 0), Ordering::SeqCst);
    SQLITE_OK
}

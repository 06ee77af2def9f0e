//! SQL functions that tell where a statement is executed, in one database.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Once;

use libsqlite3_sys::{
    SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_OK, SQLITE_UTF8, sqlite3, sqlite3_api_routines,
    sqlite3_auto_extension, sqlite3_context, sqlite3_context_db_handle, sqlite3_create_function_v2,
    sqlite3_file, sqlite3_file_control, sqlite3_result_int64, sqlite3_value,
};

use crate::opened::is_of;

/// The database that has them.
pub const DATABASE: &str = "functions";

/// Gives connections that are opened from now on the functions `thread()`, a number of the thread, and `logged()`,
/// how many bytes the write-ahead log has. After a node was made, so that what dqlite does with a new connection is
/// done by then.
pub fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: the function is one of those that SQLite calls with a connection that it opens.
    ONCE.call_once(|| assert_eq!(unsafe { sqlite3_auto_extension(Some(give)) }, SQLITE_OK));
}

type Function = unsafe extern "C" fn(*mut sqlite3_context, c_int, *mut *mut sqlite3_value);

unsafe extern "C" fn give(
    connection: *mut sqlite3,
    _: *mut *mut c_char,
    _: *const sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite gives a connection that is open.
    if !unsafe { is_of(connection, DATABASE) } {
        return SQLITE_OK;
    }
    // SAFETY: the connection is open.
    unsafe { create(connection, c"thread", thread) | create(connection, c"logged", logged) }
}

/// # Safety
///
/// The connection is open.
unsafe fn create(connection: *mut sqlite3, name: &CStr, function: Function) -> c_int {
    // SAFETY: the name outlives the call, and the function is there for ever and needs nothing.
    unsafe {
        sqlite3_create_function_v2(
            connection,
            name.as_ptr(),
            0,
            SQLITE_UTF8,
            ptr::null_mut(),
            Some(function),
            None,
            None,
            None,
        )
    }
}

unsafe extern "C" fn thread(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    let address = HERE.with(|here| ptr::from_ref(here).addr());
    // SAFETY: SQLite gives the context of this call.
    unsafe { sqlite3_result_int64(context, i64::try_from(address).expect("an address")) };
}

unsafe extern "C" fn logged(context: *mut sqlite3_context, _: c_int, _: *mut *mut sqlite3_value) {
    let mut file: *mut sqlite3_file = ptr::null_mut();
    let mut size = 0;
    // SAFETY: SQLite gives the context of this call, whose connection is open, and the file that it has opened.
    unsafe {
        let connection = sqlite3_context_db_handle(context);
        let place = ptr::from_mut(&mut file).cast::<c_void>();
        let code = sqlite3_file_control(connection, c"main".as_ptr(), SQLITE_FCNTL_JOURNAL_POINTER, place);
        assert_eq!(code, SQLITE_OK);
        let methods = (*file).pMethods;
        let ask = (*methods).xFileSize.expect("its size");
        assert_eq!(ask(file, &raw mut size), SQLITE_OK);
        sqlite3_result_int64(context, size);
    }
}

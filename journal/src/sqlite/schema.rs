//! The tables, how a new file gets them, and how an older file gets the newest ones.
//!
//! Rows of the log are found by position and by nothing else, so there is no secondary index to
//! maintain: the order of keys lives in memory. The value comes last so that reading the rest of a row
//! never touches the overflow pages of a large value.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _};

use super::connection;
use super::draft::Draft;
use super::fault::open_error;
use crate::OpenError;

/// The name of the log in a data directory.
pub(super) const DATABASE_FILE: &str = "taffrail.db";

/// Marks a file as a log of Taffrail: "Tfrl" in the application id of the SQLite header.
pub(crate) const APPLICATION_ID: i32 = 0x5466_726c;

/// Entry n takes a file from schema version n to n + 1. Entries are never changed once released: a new
/// version is one more entry.
pub(crate) const MIGRATIONS: &[&str] = &[
    // 1: the first.
    "CREATE TABLE log (
        position INTEGER PRIMARY KEY,
        revision INTEGER NOT NULL,
        create_revision INTEGER NOT NULL,
        version INTEGER NOT NULL,
        lease INTEGER NOT NULL,
        key BLOB NOT NULL,
        value BLOB NOT NULL
     ) STRICT;
     CREATE TABLE lease (
        id INTEGER PRIMARY KEY,
        ttl INTEGER NOT NULL,
        deadline_ms INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE alarm (
        kind INTEGER NOT NULL,
        member_id INTEGER NOT NULL,
        PRIMARY KEY (kind, member_id)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        compact_revision INTEGER NOT NULL,
        newest_revision INTEGER NOT NULL,
        cluster_id INTEGER NOT NULL,
        member_id INTEGER NOT NULL
     ) STRICT;
     INSERT INTO meta VALUES (1, -1, 1, 0, 0);",
];

/// What a release to come may add, for rehearsals of an upgrade of several members: nothing that anybody needs.
#[cfg(feature = "dqlite")]
pub(crate) const REHEARSAL: &str = "CREATE TABLE rehearsal (id INTEGER PRIMARY KEY) STRICT;";

/// Makes the log of a data directory if there is none. The file appears whole or not at all.
pub(super) fn create_if_missing(data_dir: &Path) -> Result<(), OpenError> {
    let path = data_dir.join(DATABASE_FILE);
    if path.try_exists().map_err(|error| OpenError::io(&path, error))? {
        return Ok(());
    }
    refuse_stray_wal(&path)?;
    let draft = Draft::new(data_dir)?;
    build(&draft.path).map_err(|error| open_error(&draft.path, error))?;
    draft.put_in_place()
}

/// SQLite would replay a log that was left behind into the new file, whatever it belonged to.
fn refuse_stray_wal(path: &Path) -> Result<(), OpenError> {
    let wal = connection::wal_path(path);
    if wal.exists() {
        return Err(OpenError::foreign(
            &wal,
            "a write-ahead log whose database is gone",
        ));
    }
    Ok(())
}

fn build(path: &Path) -> rusqlite::Result<()> {
    let connection = Connection::open(path)?;
    lay_out(&connection)?;
    connection::use_wal(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

/// Makes the tables of an empty log in an empty file.
fn lay_out(connection: &Connection) -> rusqlite::Result<()> {
    lay_out_by(connection, MIGRATIONS)
}

/// Makes the tables of a schema version, the next release's at most.
#[cfg(feature = "dqlite")]
pub(crate) fn lay_out_version(connection: &Connection, version: u32) -> rusqlite::Result<()> {
    let known = MIGRATIONS.iter().chain([&REHEARSAL]);
    let migrations: Vec<&str> = known
        .take(usize::try_from(version).unwrap_or(usize::MAX))
        .copied()
        .collect();
    lay_out_by(connection, &migrations)
}

fn lay_out_by(connection: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    // Both must be chosen before the first table, and neither can be changed later without a rewrite.
    connection.pragma_update(None, "page_size", connection::PAGE_SIZE)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    upgrade(connection, migrations)?;
    draw_identity(connection)
}

/// Gives the log a cluster id and a member id that nobody else has.
pub(super) fn draw_identity(connection: &Connection) -> rusqlite::Result<()> {
    // random() may be zero, which means "no id"; the lowest bit forces it away.
    connection
        .execute(
            "UPDATE meta SET cluster_id = random() | 1, member_id = random() | 1",
            (),
        )
        .map(drop)
}

/// Runs the migrations that the file lacks, all or none of them.
fn upgrade(connection: &Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    let version = user_version(&transaction)?;
    let missing = usize::try_from(version)
        .ok()
        .and_then(|version| migrations.get(version..));
    for migration in missing.unwrap_or_default() {
        transaction.execute_batch(migration)?;
    }
    if missing.is_some_and(|missing| !missing.is_empty()) {
        transaction.pragma_update(None, "user_version", migrations.len() as i64)?;
    }
    transaction.commit()
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings the file to the newest schema version.
pub(super) fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    refuse_newer(connection, path)?;
    upgrade(connection, MIGRATIONS).map_err(|error| open_error(path, error))
}

/// Refuses a file that a newer program wrote.
pub(super) fn refuse_newer(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as i64;
    match user_version(connection).map_err(|error| open_error(path, error))? {
        found if found > known => Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found,
            known,
        }),
        _ => Ok(()),
    }
}

/// Looks at the first page, before SQLite may touch the file.
pub(super) fn check_header(path: &Path) -> Result<(), OpenError> {
    let mut header = [0_u8; 100];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut header))
        .map_err(|error| header_error(path, error))?;
    if is_bolt(&header) {
        return Err(OpenError::foreign(path, "an etcd (bbolt) database"));
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::foreign(path, "not an SQLite database"));
    }
    let application = i32::from_be_bytes([header[68], header[69], header[70], header[71]]);
    check_application(application, path)?;
    match u16::from_be_bytes([header[16], header[17]]) {
        size if u32::from(size) == connection::PAGE_SIZE => Ok(()),
        size => Err(OpenError::corrupt(path, format!("its pages have {size} bytes"))),
    }
}

/// Refuses a database that another program made.
pub(super) fn check_application(id: i32, path: &Path) -> Result<(), OpenError> {
    match id {
        APPLICATION_ID => Ok(()),
        other => Err(OpenError::foreign(
            path,
            format!("an SQLite database of application {other:#010x}"),
        )),
    }
}

fn header_error(path: &Path, error: std::io::Error) -> OpenError {
    match error.kind() {
        ErrorKind::UnexpectedEof => OpenError::corrupt(path, "it is shorter than a database header"),
        _ => OpenError::io(path, error),
    }
}

/// bbolt keeps its magic number in a meta page, 16 bytes into the file, in the machine's byte order.
fn is_bolt(header: &[u8; 100]) -> bool {
    header[16..20] == 0xED0C_DAED_u32.to_ne_bytes()
}

/// Compares the tables with those of the file's schema version, and looks at both ends of the log.
///
/// Cheap: its cost does not grow with the log. `taffrail verify` looks at everything.
pub(super) fn check_shape(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let sqlite = |error| open_error(path, error);
    let expected = user_version(connection)
        .and_then(expected_tables)
        .map_err(sqlite)?;
    let found = tables(connection).map_err(sqlite)?;
    if found != expected {
        return Err(OpenError::corrupt(
            path,
            format!("unexpected tables: {}", found.join("; ")),
        ));
    }
    let meta = "SELECT 1 FROM meta WHERE cluster_id <> 0 AND member_id <> 0";
    if connection
        .query_row(meta, (), |_| Ok(()))
        .optional()
        .map_err(sqlite)?
        .is_none()
    {
        return Err(OpenError::corrupt(path, "the log has no identity"));
    }
    // Each by itself: SQLite finds one end by the key, and both together by reading everything.
    let ends = "SELECT (SELECT min(position) FROM log), (SELECT max(position) FROM log)";
    connection.query_row(ends, (), |_| Ok(())).map_err(sqlite)
}

/// The tables of a schema version.
fn expected_tables(version: i64) -> rusqlite::Result<Vec<String>> {
    let pattern = Connection::open_in_memory()?;
    let known = usize::try_from(version)
        .ok()
        .and_then(|version| MIGRATIONS.get(..version));
    upgrade(&pattern, known.unwrap_or_default())?;
    tables(&pattern)
}

fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("SELECT coalesce(sql, name) FROM sqlite_schema ORDER BY name")?;
    statement.query_map((), |row| row.get(0))?.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[&str] = &[
        "CREATE TABLE a (id INTEGER PRIMARY KEY) STRICT; INSERT INTO a VALUES (7);",
        "ALTER TABLE a ADD COLUMN more INTEGER NOT NULL DEFAULT 3;",
    ];

    fn more(connection: &Connection) -> i64 {
        connection
            .query_row("SELECT id * 10 + more FROM a", (), |row| row.get(0))
            .unwrap()
    }

    #[test]
    fn an_older_file_gets_what_it_lacks() {
        let connection = Connection::open_in_memory().unwrap();
        upgrade(&connection, &TWO[..1]).unwrap();
        assert_eq!(user_version(&connection).unwrap(), 1);
        upgrade(&connection, TWO).unwrap();
        assert_eq!(user_version(&connection).unwrap(), 2);
        assert_eq!(more(&connection), 73);
    }

    #[test]
    fn a_current_file_is_left_alone() {
        let connection = Connection::open_in_memory().unwrap();
        upgrade(&connection, TWO).unwrap();
        let before = connection.total_changes();
        upgrade(&connection, TWO).unwrap();
        assert_eq!(connection.total_changes(), before);
        assert_eq!(more(&connection), 73);
    }

    #[test]
    fn a_migration_that_fails_changes_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        upgrade(&connection, &TWO[..1]).unwrap();
        let broken = [
            TWO[0],
            "ALTER TABLE a ADD COLUMN more INTEGER NOT NULL DEFAULT 3; CREATE TABLE a (b ANY);",
        ];
        assert!(upgrade(&connection, &broken).is_err());
        assert_eq!(user_version(&connection).unwrap(), 1);
        upgrade(&connection, TWO).unwrap();
        assert_eq!(more(&connection), 73);
    }

    #[test]
    fn a_newer_file_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .pragma_update(None, "user_version", MIGRATIONS.len() as i64 + 1)
            .unwrap();
        let error = migrate(&connection, Path::new("x")).unwrap_err();
        assert!(
            matches!(
                error,
                OpenError::NewerSchema {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
    }

    #[test]
    fn columns_are_integers_and_blobs_without_indexes() {
        let connection = Connection::open_in_memory().unwrap();
        upgrade(&connection, MIGRATIONS).unwrap();
        let odd = "SELECT count(*) FROM sqlite_schema s LEFT JOIN pragma_table_info(s.name) c
                   WHERE s.type <> 'table' OR c.type NOT IN ('INTEGER', 'BLOB')";
        let odd: i64 = connection.query_row(odd, (), |row| row.get(0)).unwrap();
        assert_eq!(odd, 0);
    }
}

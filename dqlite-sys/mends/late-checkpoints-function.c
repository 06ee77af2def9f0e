/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * Makes a checkpoint if one is due and nobody is in the way. */
void taffrailCheckpointIfDue(sqlite3 *conn)
{
	sqlite3_file *file;
	int rv = sqlite3_file_control(conn, NULL, SQLITE_FCNTL_FILE_POINTER, &file);
	dqlite_assert(rv == SQLITE_OK);
	struct vfsMainFile *f = (struct vfsMainFile *)file;
	if (f->database->wal.n_frames >= f->vfs->config->checkpoint_threshold &&
	    f->state == NORMAL &&
	    sqlite3_txn_state(conn, NULL) == SQLITE_TXN_NONE) {
		vfsCheckpoint(conn, f);
	}
}


	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * The pragma makes SQLite read the schema, and for that it goes through
	 * the whole write-ahead log: VfsApply invalidated its index the last
	 * time. A follower opens a connection for every transaction that it
	 * applies, and never writes with it. Only if that leads to a checkpoint
	 * the connection must know the log; and an empty database is begun
	 * below. */
	rv = SQLITE_OK;
	if (VfsPagesToApply == 0 || f->database->n_pages == 0 ||
	    f->database->wal.n_frames + VfsPagesToApply >=
		f->vfs->config->checkpoint_threshold) {
		rv = sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL,
				  pzErrMsg);
	}

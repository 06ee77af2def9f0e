	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * SQLite itself checkpoints after a commit that leaves 1,000 frames or
	 * more in the WAL, which is before the transaction is replicated: its
	 * pages are in the main file even if it then fails, where later reads,
	 * snapshots and dumps find them. VfsApply checkpoints what is
	 * committed. */
	sqlite3_wal_autocheckpoint(conn, 0);

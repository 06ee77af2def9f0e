	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * A snapshot writes all of the database, however little has changed:
	 * after 1,024 small transactions, a gigabyte for twenty megabytes. Until
	 * the entries since the last one weigh a quarter of it, keeping them is
	 * cheaper; but no more of them than are kept behind it. */
	if (r->snapshot.applied < r->snapshot.size / 4 &&
	    r->last_applied - r->log->snapshot.last_index < r->snapshot.trailing) {
		return false;
	}


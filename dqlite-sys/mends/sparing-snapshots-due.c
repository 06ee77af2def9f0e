	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * A snapshot writes all of the database, however little has changed:
	 * after 1,024 small transactions, a gigabyte for twenty megabytes. Until
	 * the entries since the last one weigh a quarter of it, and 32 MiB,
	 * keeping them is cheaper; but no more of them than are kept behind
	 * it. */
	const uint64_t taffrail_least = 32 * 1024 * 1024;
	uint64_t taffrail_due = r->snapshot.size / 4;
	if (taffrail_due < taffrail_least) {
		taffrail_due = taffrail_least;
	}
	if (r->snapshot.applied < taffrail_due &&
	    r->last_applied - r->log->snapshot.last_index < r->snapshot.trailing) {
		return false;
	}


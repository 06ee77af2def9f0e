	if (status != 0) {
		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * A write is canceled when the node stops, and nothing comes after
		 * that. The others may have committed the entries meanwhile, and
		 * what is committed, and perhaps applied, is not to be truncated. */
		if (status != RAFT_CANCELED && index <= logLastIndex(r->log)) {
			logTruncate(r->log, index);
		}

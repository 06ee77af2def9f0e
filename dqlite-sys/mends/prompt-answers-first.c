	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * What is stored is answered before what the leader says of other
	 * entries is applied: the leader waits for the answer to commit, and
	 * nobody waits for what is applied here, which may be a checkpoint. */
	if (r->current_term == args->term) {
		result.rejected = 0;
		result.last_log_index = r->last_stored;
		sendAppendEntriesResult(r, &result);
	}


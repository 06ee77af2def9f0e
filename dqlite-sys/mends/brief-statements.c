	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * A statement that was brief the last time is executed here: a thread of
	 * the pool takes longer to begin and to tell that it is done. What was
	 * long is executed there, and everything the first time. */
	if (taffrailIsBrief(exec->stmt)) {
		exec_work(&g->work);
		return leader_exec_resume(exec);
	}

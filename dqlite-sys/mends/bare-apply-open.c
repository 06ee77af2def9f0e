		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
		extern _Thread_local unsigned VfsPagesToApply;
		VfsPagesToApply = c->frames.n_pages;
		rv = db__open(db, &conn);
		VfsPagesToApply = 0;
		if (rv != 0) {
			tracef("open follower failed %d", rv);

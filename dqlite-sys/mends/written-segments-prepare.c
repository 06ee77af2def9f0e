	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * Where files cannot be allocated, the emulation has written it. */
	if (uv->fallocate) {
		rv = taffrailFill(segment);
		if (rv != 0) {
			char ignored[RAFT_ERRMSG_BUF_SIZE];
			UvFsRemoveFile(uv->dir, segment->filename, ignored);
			goto err_after_allocate;
		}
	}


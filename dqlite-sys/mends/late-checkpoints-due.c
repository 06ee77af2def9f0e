	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * While holding the lock, check if a checkpoint should be attempted. A
	 * leader makes it when it has answered, unless it never gets to it. */
	unsigned taffrail_due = f->vfs->config->checkpoint_threshold;
	if (f->state == POLLED) {
		taffrail_due *= 2;
	}
	bool checkpoint = f->database->wal.n_frames >= taffrail_due;

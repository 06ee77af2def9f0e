		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * A write that must not block at all is refused by file systems
		 * whenever they have something to note down about the file, be
		 * it the time (ext4), so nearly always, and went to a thread
		 * that waited for it. What may be waited for here are such
		 * notes, in memory; the disk is waited for by nobody, and tells
		 * when it is done. */
		req->iocb.aio_resfd = (uint32_t)w->event_fd;

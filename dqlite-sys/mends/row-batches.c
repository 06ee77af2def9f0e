		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * Every message costs a visit to the thread pool, a write and
		 * the names of the columns again, so it holds 256 KiB of rows
		 * before it is sent, not one page. */
		if (buffer__offset(buffer) >= 256 * 1024) {

		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * A file system that has to mark each block of a new file as
		 * written (ext4) will say so of every write to it: not to be
		 * asked again, of this file. */
		if (event->res == -EAGAIN) {
			w->async = false;

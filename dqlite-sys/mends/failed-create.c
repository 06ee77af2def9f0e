	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * The node will be freed, and its VFS with it, so SQLite must forget
	 * the VFS: it would be read by whoever next looks one up by name. On
	 * some ways here it is not registered, which does no harm. */
	sqlite3_vfs_unregister(&d->vfs);

	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * A database that has become smaller since the last checkpoint has more
	 * pages in its main file than in all, and than there is room for. */
	for (unsigned i = 0; i < f->database->n_pages && i < page_count; i++) {
		pages[i] = f->database->pages[i];

	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * The first region, through which the transactions of all connections
	 * are published; mapped with the first of them. */
	void *first;

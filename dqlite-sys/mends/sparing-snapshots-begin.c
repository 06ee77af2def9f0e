	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	r->snapshot.size = 0;
	r->snapshot.applied = 0;

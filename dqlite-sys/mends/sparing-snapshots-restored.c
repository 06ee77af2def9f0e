	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	r->snapshot.size = snapshot->bufs[0].len;
	r->snapshot.applied = 0;

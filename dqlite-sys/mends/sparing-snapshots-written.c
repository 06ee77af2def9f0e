	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	r->snapshot.size = 0;
	for (unsigned i = 0; i < snapshot->n_bufs; i++) {
		r->snapshot.size += snapshot->bufs[i].len;
	}
	r->snapshot.applied = 0;

	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	struct uvIdleSegment *coming = uv->prepare_inflight;
	if (*fd == -1 && coming != NULL) {
		__atomic_store_n(&coming->awaited, true, __ATOMIC_RELAXED);
	}


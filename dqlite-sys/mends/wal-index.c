	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * A connection that meets a WAL of more than 8,158 frames, the two
	 * first regions of its index, begins at the region with the newest
	 * frame. Regions are mapped in order, so those before it are mapped
	 * first, each by a call of its own. If the file ends before one of them
	 * it ends before this one. */
	while (f->mappedShmRegions.len < region_index) {
		void volatile *before = NULL;
		int skipped = vfsMainFileShmMap(file, f->mappedShmRegions.len,
						region_size, extend, &before);
		if (skipped != SQLITE_OK || before == NULL) {
			*out = NULL;
			return skipped;
		}
	}
	/* A mapping may be of several regions, this one among them. */
	if (region_index < f->mappedShmRegions.len) {
		*out = f->mappedShmRegions.ptr[region_index];
		return SQLITE_OK;
	}


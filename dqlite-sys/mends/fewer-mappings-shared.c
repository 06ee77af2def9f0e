	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	void *remapped =
	    mmap(first_region_private, map_size, PROT_READ | PROT_WRITE,
		 MAP_SHARED | MAP_FIXED, shm->fd, 0);

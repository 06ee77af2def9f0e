	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	struct vfsShm *shm = &f->database->shm;
	if (shm->first == NULL) {
		shm->first = mmap(NULL, map_size, PROT_READ | PROT_WRITE,
				  MAP_SHARED, shm->fd, 0);
		dqlite_assert(shm->first != MAP_FAILED);
	}
	void *first_region_shared = shm->first;

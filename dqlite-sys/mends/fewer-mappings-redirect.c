		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * Mapped where it is to be: a mapping that is moved has every
		 * other processor of the process drop what it knows of both
		 * places. Without memory for it there is nothing left there, and
		 * no way on. */
		void *new_region =
		    mmap(region, map_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_FIXED, f->database->shm.fd,
			 regionIndex * VFS__WAL_INDEX_REGION_SIZE);
		dqlite_assert(new_region == region);

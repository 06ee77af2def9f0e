		/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
		 *
		 * Bytes of the last snapshot, and of the entries that were
		 * applied since it was written. */
		uint64_t size;
		uint64_t applied;
		uint64_t reserved[5];
	} snapshot;

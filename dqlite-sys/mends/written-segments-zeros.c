/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * Blocks that are only allocated have to be marked as written when the log
 * reaches them, and each append waits for that: on ext4 with its journal nearly
 * three times as long as for a block that was written before, and twice as much
 * is written. So a segment is filled with zeros, which is what allocated blocks
 * read as, before it is needed, some at a time and with pauses, because the log's
 * own writes wait for those of the disk that are under way. Who waits for a
 * segment gets it as it is. */
#define TAFFRAIL_ZEROS (256 * 1024)
#define TAFFRAIL_ZEROS_PAUSE 4000 /* Microseconds */

static int taffrailFill(struct uvIdleSegment *segment)
{
	static const char zeros[TAFFRAIL_ZEROS];
	size_t offset = 0;
	while (offset < segment->size &&
	       !__atomic_load_n(&segment->awaited, __ATOMIC_RELAXED)) {
		size_t left = segment->size - offset;
		uv_buf_t buf = {
			.base = (char *)zeros,
			.len = left < sizeof zeros ? left : sizeof zeros,
		};
		int rv = UvOsWrite(segment->fd, &buf, 1, (int64_t)offset);
		if (rv < 0) {
			UvOsErrMsg(segment->errmsg, "write zeros", rv);
			return rv == UV_ENOSPC ? RAFT_NOSPACE : RAFT_IOERR;
		}
		offset += (size_t)rv;
		usleep(TAFFRAIL_ZEROS_PAUSE);
	}
	return 0;
}


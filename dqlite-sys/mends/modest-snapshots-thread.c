/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * A snapshot is compressed and written for as long as it takes, on all members at
 * about the same entry, and nobody waits for it, unlike for the entries that are
 * written meanwhile. So it is left to a thread to which the others go first. Of
 * two that are busy it still gets a tenth: the log, which is kept for as long,
 * must not grow without end. */
#define TAFFRAIL_SNAPSHOT_NICE 10

static void *taffrailSnapshotThread(void *work)
{
	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid),
		    TAFFRAIL_SNAPSHOT_NICE);
	uvSnapshotPutWorkCb(work);
	return NULL;
}

/* A snapshot that came from the leader is waited for. */
static void taffrailSnapshotPutWorkCb(uv_work_t *work)
{
	struct uvSnapshotPut *put = work->data;
	pthread_t thread;
	if (put->trailing == 0 ||
	    pthread_create(&thread, NULL, taffrailSnapshotThread, work) != 0) {
		uvSnapshotPutWorkCb(work);
		return;
	}
	pthread_join(thread, NULL);
}


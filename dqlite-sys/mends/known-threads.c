	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
	 *
	 * Each line that is kept for a crash tells its thread, and a write has
	 * fifty of them: the kernel is asked once by each thread. */
	static _Thread_local pid_t tid;
	if (tid == 0) {
		tid = (pid_t)syscall(SYS_gettid);
	}
	return tid;

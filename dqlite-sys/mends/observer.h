/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * Shows raft's state, which belongs to the loop thread, to other threads.
 */
#ifndef OBSERVER_H_
#define OBSERVER_H_

#include <uv.h>

#include "../include/taffrail.h"
#include "raft.h"

struct observer
{
	struct raft *raft;
	struct taffrail_raft now;
	taffrail_raft_changed changed;
	void *arg;
	/* Turns of the loop: timers run before the one, messages and disk
	 * before the other. */
	struct uv_prepare_s prepare;
	struct uv_check_s check;
};

/* Nothing is seen yet. */
void observer__init(struct observer *o, struct raft *raft);

/* Looks after every turn of the loop, from now on. */
void observer__start(struct observer *o, struct uv_loop_s *loop);

/* Looks now. On the loop thread. */
void observer__look(struct observer *o);

/* Closes the handles. On the loop thread. */
void observer__close(struct observer *o);

#endif

/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
#include "observer.h"

#include <pthread.h>
#include <string.h>

#include "lib/assert.h"
#include "server.h"

/* The one lock of all nodes of the process; it is held for a copy. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct taffrail_raft seen(struct raft *raft)
{
	raft_id leader;
	const char *address;

	static_assert(TAFFRAIL_UNAVAILABLE == (int)RAFT_UNAVAILABLE &&
			  TAFFRAIL_FOLLOWER == (int)RAFT_FOLLOWER &&
			  TAFFRAIL_CANDIDATE == (int)RAFT_CANDIDATE &&
			  TAFFRAIL_LEADER == (int)RAFT_LEADER,
		      "raft has other states");
	raft_leader(raft, &leader, &address);
	return (struct taffrail_raft){
		.state = (uint64_t)raft->state,
		.term = raft->current_term,
		.leader = leader,
		.last_index = raft_last_index(raft),
		.commit_index = raft->commit_index,
		.applied_index = raft_last_applied(raft),
	};
}

void observer__init(struct observer *o, struct raft *raft)
{
	memset(o, 0, sizeof *o);
	o->raft = raft;
}

void observer__look(struct observer *o)
{
	const struct taffrail_raft now = seen(o->raft);
	if (memcmp(&now, &o->now, sizeof now) == 0) {
		return;
	}
	pthread_mutex_lock(&lock);
	o->now = now;
	pthread_mutex_unlock(&lock);
	if (o->changed != NULL) {
		o->changed(o->arg, &now);
	}
}

static void prepare_cb(struct uv_prepare_s *prepare)
{
	observer__look(prepare->data);
}

static void check_cb(struct uv_check_s *check)
{
	observer__look(check->data);
}

void observer__start(struct observer *o, struct uv_loop_s *loop)
{
	int rv;

	o->prepare.data = o;
	rv = uv_prepare_init(loop, &o->prepare);
	dqlite_assert(rv == 0);
	rv = uv_prepare_start(&o->prepare, prepare_cb);
	dqlite_assert(rv == 0);
	o->check.data = o;
	rv = uv_check_init(loop, &o->check);
	dqlite_assert(rv == 0);
	rv = uv_check_start(&o->check, check_cb);
	dqlite_assert(rv == 0);
}

void observer__close(struct observer *o)
{
	uv_close((struct uv_handle_s *)&o->prepare, NULL);
	uv_close((struct uv_handle_s *)&o->check, NULL);
}

void taffrail_node_raft(dqlite_node *n, struct taffrail_raft *now)
{
	pthread_mutex_lock(&lock);
	*now = n->observer.now;
	pthread_mutex_unlock(&lock);
}

int taffrail_node_set_raft_changed(dqlite_node *n,
				   taffrail_raft_changed changed,
				   void *arg)
{
	if (n->running) {
		return DQLITE_MISUSE;
	}
	n->observer.changed = changed;
	n->observer.arg = arg;
	return 0;
}

/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * What this build of dqlite tells of raft, which dqlite.h does not.
 */
#ifndef TAFFRAIL_H
#define TAFFRAIL_H

#include <stdint.h>

#include "dqlite.h"

enum {
	TAFFRAIL_UNAVAILABLE = 0,
	TAFFRAIL_FOLLOWER,
	TAFFRAIL_CANDIDATE,
	TAFFRAIL_LEADER
};

/* Raft as this node sees it, all of one moment. */
struct taffrail_raft
{
	uint64_t state;         /* One of the constants above. */
	uint64_t term;          /* The latest term it has seen. */
	uint64_t leader;        /* The leader's id in that term. 0: not known, or the
	                           leader, this node, hands over. */
	uint64_t last_index;    /* The last entry in its log, committed or not. */
	uint64_t commit_index;  /* The last entry it knows to be committed. */
	uint64_t applied_index; /* The last entry in its databases. */
};

/* Called on the node's loop thread whenever anything in @now is new, with what
 * was set with it. It must not block, nor call the node. */
typedef void (*taffrail_raft_changed)(void *arg,
				      const struct taffrail_raft *now);

/* Copies what the node saw last: at most a turn of its loop ago. From any
 * thread, from the creation of the node until it is destroyed. */
DQLITE_API void taffrail_node_raft(dqlite_node *n, struct taffrail_raft *now);

/* Sets what is called on changes. Before the start. */
DQLITE_API int taffrail_node_set_raft_changed(dqlite_node *n,
					      taffrail_raft_changed changed,
					      void *arg);

#endif

/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * A snapshot is one message, and so is all that a peer lacks of the log: a peer
 * that refuses long messages never catches up. 16 GiB is more than a database
 * held in memory should be. */
#define MAX_PAYLOAD_LEN (16ULL * 1024 * 1024 * 1024)

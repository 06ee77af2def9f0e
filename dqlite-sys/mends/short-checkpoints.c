/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * A checkpoint copies all frames in one go on the thread that serves the
 * raft log, and every node makes it at the same entry: with 1,000 frames a
 * write in some hundreds waits for 4 MiB to be copied, one after the other
 * on the leader and on its followers. The log is in memory, so there is no disk
 * for which checkpoints should be rare; ten times as many, of a tenth, cost
 * about the same and nobody waits for them. */
#define DEFAULT_CHECKPOINT_THRESHOLD 100

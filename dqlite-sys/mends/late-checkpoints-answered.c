				req = exec_dequeue(db);
				/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
				 *
				 * It is answered, and nobody waits. */
				if (req == NULL) {
					taffrailCheckpointIfDue(leader->conn);
				}

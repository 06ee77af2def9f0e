/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * Steps of SQLite's virtual machine that take about as long as handing a
 * statement to another thread and back. */
#define TAFFRAIL_BRIEF_STEPS 2000

/* Whether a prepared statement took no more than that when it was executed last. */
static bool taffrailIsBrief(sqlite3_stmt *stmt)
{
	int runs = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_RUN, 1);
	int steps = sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 1);
	return runs > 0 && steps <= TAFFRAIL_BRIEF_STEPS;
}


	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	taffrailDestroy(w->loop, w->ctx);

	if (w->close_cb != NULL) {

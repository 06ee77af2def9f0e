			   /* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
			   taffrailSnapshotPutWorkCb, uvSnapshotPutAfterWorkCb);

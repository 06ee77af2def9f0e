			/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
			 *
			 * Short messages go at once: waiting to fill a packet,
			 * against a peer that delays its acknowledgements,
			 * makes a commit take 40 ms. Connections that this node
			 * makes pass here, and its listener, from which those
			 * that it accepts inherit. Without it all works, only
			 * slowly, so it may fail. */
			(void)uv_tcp_nodelay(tcp, 1);

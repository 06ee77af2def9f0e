	/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception */
	while (count >= 16) {
		crc = byteCrcOfFour(crc ^ byteCrcFour(cursor), 12) ^
		      byteCrcOfFour(byteCrcFour(cursor + 4), 8) ^
		      byteCrcOfFour(byteCrcFour(cursor + 8), 4) ^
		      byteCrcOfFour(byteCrcFour(cursor + 12), 0);
		cursor += 16;
		count -= 16;
	}

/* SPDX-License-Identifier: LGPL-3.0-only WITH LGPL-3.0-linking-exception
 *
 * Every page is summed up on every node before it is written, and 400 MB a
 * second are a good part of the time that a write takes. So 16 octets are taken
 * at a time, as "slicing-by-8" does it (Kounavis and Berry, 2008): what an
 * octet does to the checksum, with so many octets behind it. */
unsigned byteCrcTables[16][256];

__attribute__((constructor)) static void byteCrcTablesFill(void)
{
	for (unsigned octet = 0; octet < 256; octet++) {
		unsigned crc = byteCrcTable[octet];
		byteCrcTables[0][octet] = crc;
		for (unsigned behind = 1; behind < 16; behind++) {
			crc = (crc << 8) ^ byteCrcTable[crc >> 24];
			byteCrcTables[behind][octet] = crc;
		}
	}
}

/* What four octets do to the checksum, of which the last has so many behind. */
static inline unsigned byteCrcOfFour(unsigned octets, unsigned behind)
{
	return byteCrcTables[behind + 3][octets >> 24] ^
	       byteCrcTables[behind + 2][(octets >> 16) & 255] ^
	       byteCrcTables[behind + 1][(octets >> 8) & 255] ^
	       byteCrcTables[behind][octets & 255];
}

static inline unsigned byteCrcFour(const uint8_t *octets)
{
	return (unsigned)octets[0] << 24 | (unsigned)octets[1] << 16 |
	       (unsigned)octets[2] << 8 | (unsigned)octets[3];
}


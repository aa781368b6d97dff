/* CRC-32C (RFC 3720 section 12.1, polynomial 0x1EDC6F41). Chosen before zlib's CRC-32 because processors have an
 * instruction for it: that costs a record about 20 ns, a table ten times as much. */
#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Of these bytes alone. */
uint32_t crc32c(const uint8_t *bytes, size_t length);

/* The same without the instruction: for other processors, and for the test of both. */
uint32_t crc32c_portable(const uint8_t *bytes, size_t length);

#endif

/* The little of RFC 6455 that both ends of the benchmark need: the upgrade, and short unfragmented text frames for the
 * dialogue. The feed itself is framed beforehand (see feed.py) or by websocket_header(). */
#ifndef BENCH_WEBSOCKET_H
#define BENCH_WEBSOCKET_H

#include "wire.h"

#define WEBSOCKET_HEADER_MAX_BYTES 10
#define WEBSOCKET_TEXT 0x81  /* FIN and opcode 1, RFC 6455 5.2 */
#define WEBSOCKET_CLOSE 0x88 /* FIN and opcode 8 */

/* Writes the header of an unmasked text frame in front of a payload; returns its size: 2, 4 or 10 bytes. */
size_t websocket_header(unsigned char *header, size_t payload_bytes);

/* Reads the header of an unmasked frame. Returns its size and sets *payload_bytes, or 0 when available bytes do not hold it
 * whole. */
size_t websocket_read_header(const unsigned char *bytes, size_t available, size_t *payload_bytes);

/* Server: answers a client's upgrade request with 101 (4.2.2). */
void websocket_accept(struct wire *wire);

/* Client: asks for the upgrade and takes the 101 (4.1), without reading a byte behind it. */
void websocket_request(struct wire *wire, const char *host, const char *path);

/* Sends a text of at most 125 bytes; a client's frame is masked (5.3), with the key 0. */
void websocket_send_text(struct wire *wire, const char *text, _Bool masked);

/* Receives one text frame of less than size bytes, masked or not, and ends it with a NUL. */
void websocket_read_text(struct wire *wire, char *text, size_t size);

#endif

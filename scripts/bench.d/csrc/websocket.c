#include "websocket.h"

#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455 1.3 */
#define SHORT_MAX_BYTES 125
#define MASK_BIT 0x80
#define HEAD_MAX_BYTES 8192 /* of an HTTP request or answer; clients send a few hundred */

size_t websocket_header(unsigned char *header, size_t payload_bytes)
{
    header[0] = WEBSOCKET_TEXT;
    if (payload_bytes <= SHORT_MAX_BYTES) {
        header[1] = (unsigned char)payload_bytes;
        return 2;
    }
    if (payload_bytes <= UINT16_MAX) {
        uint16_t length = htobe16((uint16_t)payload_bytes);
        header[1] = 126;
        memcpy(header + 2, &length, sizeof length);
        return 4;
    }
    uint64_t length = htobe64(payload_bytes);
    header[1] = 127;
    memcpy(header + 2, &length, sizeof length);
    return 10;
}

size_t websocket_read_header(const unsigned char *bytes, size_t available, size_t *payload_bytes)
{
    uint16_t length16;
    uint64_t length64;
    size_t size = available < 2 || bytes[1] <= SHORT_MAX_BYTES ? 2 : bytes[1] == 126 ? 4 : 10;
    if (available < size)
        return 0;
    if (size == 2) {
        *payload_bytes = bytes[1];
    } else if (size == 4) {
        memcpy(&length16, bytes + 2, sizeof length16);
        *payload_bytes = be16toh(length16);
    } else {
        memcpy(&length64, bytes + 2, sizeof length64);
        *payload_bytes = be64toh(length64);
    }
    return size;
}

/* Byte by byte: what follows the empty line belongs to the first frame, which another reader takes. */
static void read_head(struct wire *wire, char *head)
{
    for (size_t size = 0; size < HEAD_MAX_BYTES - 1;) {
        wire_read_exactly(wire, head + size++, 1);
        head[size] = '\0';
        if (size >= 4 && !memcmp(head + size - 4, "\r\n\r\n", 4))
            return;
    }
    errno = 0;
    die("HTTP head of more than 8191 bytes");
}

/* Finds "name:" at a line's start, in any case; returns where its value starts. */
static const char *header_value(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, strlen(name)) && line[2 + strlen(name)] == ':')
            return line + 2 + strlen(name) + 1 + strspn(line + 2 + strlen(name) + 1, " \t");
    return NULL;
}

void websocket_accept(struct wire *wire)
{
    char head[HEAD_MAX_BYTES], joined[128], answer[256];
    unsigned char digest[SHA_DIGEST_LENGTH], accept[32];
    read_head(wire, head);
    const char *key = header_value(head, "Sec-WebSocket-Key");
    if (!key) {
        errno = 0;
        die("upgrade request without Sec-WebSocket-Key");
    }
    int joined_bytes = snprintf(joined, sizeof joined, "%.*s%s", (int)strcspn(key, " \r"), key, GUID);
    SHA1((const unsigned char *)joined, (size_t)joined_bytes, digest);
    EVP_EncodeBlock(accept, digest, sizeof digest);
    int size = snprintf(answer, sizeof answer,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %s\r\n\r\n",
                        (const char *)accept);
    wire_write(wire, answer, (size_t)size);
}

void websocket_request(struct wire *wire, const char *host, const char *path)
{
    char request[512], head[HEAD_MAX_BYTES];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        path, host);
    wire_write(wire, request, (size_t)size);
    read_head(wire, head);
    if (strncmp(head, "HTTP/1.1 101 ", 13)) {
        errno = 0;
        die("the server refused the upgrade");
    }
}

void websocket_send_text(struct wire *wire, const char *text, _Bool masked)
{
    unsigned char frame[2 + 4 + SHORT_MAX_BYTES] = {WEBSOCKET_TEXT};
    size_t text_bytes = strlen(text), header_bytes = masked ? 6 : 2;
    if (text_bytes > SHORT_MAX_BYTES) {
        errno = 0;
        die("dialogue text of more than 125 bytes");
    }
    frame[1] = (unsigned char)(text_bytes | (masked ? MASK_BIT : 0));
    memcpy(frame + header_bytes, text, text_bytes); /* the masking key is four zero bytes: the text stays as it is */
    wire_write(wire, frame, header_bytes + text_bytes);
}

void websocket_read_text(struct wire *wire, char *text, size_t size)
{
    unsigned char header[2], key[4] = {0};
    uint16_t length16;
    wire_read_exactly(wire, header, sizeof header);
    size_t text_bytes = header[1] & 0x7f;
    if (text_bytes == 126) {
        wire_read_exactly(wire, &length16, sizeof length16);
        text_bytes = be16toh(length16);
    }
    if (header[0] != WEBSOCKET_TEXT || text_bytes >= size) {
        errno = 0;
        die("in the dialogue: not a short text frame");
    }
    if (header[1] & MASK_BIT)
        wire_read_exactly(wire, key, sizeof key);
    wire_read_exactly(wire, text, text_bytes);
    for (size_t i = 0; i < text_bytes; i++)
        text[i] = (char)(text[i] ^ key[i % 4]);
    text[text_bytes] = '\0';
}

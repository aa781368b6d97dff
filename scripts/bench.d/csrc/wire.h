/* One connection, plain or TLS, with blocking reads and writes.
 * Law: only this file knows whether the bytes go through OpenSSL. Every failure ends the program with a named error: these
 * are measuring tools, and a figure taken after an error is worth nothing. */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <sys/types.h>

struct wire {
    int fd;
    SSL *ssl; /* NULL on a plain connection */
};

/* Prints what failed, with errno's text where it is set, and exits with status 1. */
_Noreturn void die(const char *what);

/* Sends all of data. */
void wire_write(struct wire *wire, const void *data, size_t size);

/* Receives exactly size bytes; ends the program when the peer closes before that. */
void wire_read_exactly(struct wire *wire, void *data, size_t size);

/* Receives what is there, at least 1 byte and at most size; 0 when the peer has closed. Over TLS it goes on decrypting
 * while whole records wait, so that one call brings as much as a recv of the same size would. */
size_t wire_read(struct wire *wire, void *data, size_t size);

/* Writes all of data to a pipe; returns false when its reader is gone. */
_Bool pipe_write(int fd, const void *data, size_t size);

#endif

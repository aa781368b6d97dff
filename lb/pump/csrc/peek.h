/* A look into a pipe: what it holds, without taking it or while taking it. */
#ifndef PEEK_H
#define PEEK_H

#include <stddef.h>
#include <stdint.h>

enum { PEEK_BYTES = 1 << 20 };

struct peek {
    int in, out; /* the scratch pipe */
    size_t length;
    uint8_t bytes[PEEK_BYTES];
};

/* Returns a peek, or NULL with errno. */
struct peek *peek_open(void);

/* Leaves errno as it is. */
void peek_close(struct peek *peek);

/* Both fill the peek with the pipe's first bytes, and never block, whatever the flags of read_fd. They return 1, 0
 * where the pipe is empty, or -1 with errno. */
int peek_look(struct peek *peek, int read_fd);
int peek_take(struct peek *peek, int read_fd);

#endif

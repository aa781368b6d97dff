/* What every C candidate does before its loop: the command line KEY URL NPIPES DIR WORKER [ARGS...], the pipes, the worker,
 * the connection and the feed's dialogue. Law: nothing here runs while the feed is being measured. */
#ifndef BENCH_BALANCER_H
#define BENCH_BALANCER_H

#include "wire.h"

#define READ_BYTES (256 * 1024) /* one recv: the size the issue of this benchmark fixes for all C candidates */

struct balancer {
    struct wire wire;
    int *pipe_fds; /* write ends */
    size_t pipe_count;
};

/* Starts the worker, connects, authenticates and subscribes to T.*; returns when the feed may begin. */
struct balancer balancer_start(int argc, char **argv);

#endif

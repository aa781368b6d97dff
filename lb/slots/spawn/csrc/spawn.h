/* Law: between fork and exec the child only calls async-signal-safe functions: another thread of the parent may hold any lock. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi: begin */
enum spawn_step {
    SPAWN_FORK,
    SPAWN_DEATH_SIGNAL,
    SPAWN_CPUS,
    SPAWN_DIRECTORY,
    SPAWN_DESCRIPTORS,
    SPAWN_LIMIT,
    SPAWN_EXEC
};

struct spawn_failure {
    int step;         /* enum spawn_step */
    int error;        /* errno */
};

struct spawn_order {
    char *path;                 /* what to run, seen from directory */
    char **argv;                /* ends in NULL, as envp does */
    char **envp;
    char *directory;            /* to run it in */
    unsigned long *cpus;        /* to run it on, as sched_setaffinity(2) takes them */
    size_t cpus_bytes;
    int *fds;                   /* of the caller; the process has them under the same numbers, and 0-2 */
    size_t fd_count;
    uint64_t soft_descriptors;  /* its soft limit of descriptors (RLIMIT_NOFILE); the hard one stays */
    int report_fd;              /* a pipe's write end, O_CLOEXEC: takes a struct spawn_failure where the program can't be run */
};

/* Starts a process, the leader of a process group of its own, and does not wait until it runs its program. It gets SIGTERM when the
 * thread that called this ends (prctl(2), PR_SET_PDEATHSIG). Descendants whose own parent ends become children of this process
 * (PR_SET_CHILD_SUBREAPER), which can thus wait for their end. No signal that it gets before it runs its program is taken for one to
 * the caller. Returns its pid, or -1 with errno. */
int spawn_process(const struct spawn_order *order);
/* cffi: end */

#endif

/* Law: between fork and exec the child only calls async-signal-safe functions: another thread of the parent may hold any lock. */
#ifndef SPAWN_H
#define SPAWN_H

#include <stddef.h>
#include <sys/types.h>

/* cffi: begin */
enum spawn_step {
    SPAWN_PIPE,       /* making the pipe that reports the other steps */
    SPAWN_FORK,
    SPAWN_DEATH_SIGNAL,
    SPAWN_CPUS,
    SPAWN_DIRECTORY,
    SPAWN_DESCRIPTORS,
    SPAWN_EXEC
};

struct spawn_failure {
    int step;         /* enum spawn_step */
    int error;        /* errno */
};

/* Starts path with argv and envp (both end in NULL) in directory, as the leader of a process group of its own, on the CPUs whose bits
 * are set in `cpus` (an array as sched_setaffinity(2) takes it). Of the caller's descriptors it has 0-2 and fds. It gets SIGKILL when the thread that called this ends (prctl(2), PR_SET_PDEATHSIG).
 * Descendants whose own parent ends become children of this process (PR_SET_CHILD_SUBREAPER), which can thus wait for their end.
 * Returns its pid once it runs path, or -1 with *failure. */
int spawn_process(const char *path, char *const argv[], char *const envp[], const char *directory, const unsigned long *cpus,
                  size_t cpus_bytes, const int *fds, size_t fd_count, struct spawn_failure *failure);
/* cffi: end */

#endif

/* While another program starts in this process, a child goes on with the pump: the mapping is the same memory in both.
 *
 * Law: the child makes no call but the pump's own, and touches nothing but the mapping: it was forked from a process
 * that may have had other threads. It stops at the first event that somebody must decide about, which waits in the
 * mapping, and when it is told to. */
#include "checkpoint.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

static int is_stopped(int stop_fd, int timeout_ms)
{
    struct pollfd polled = {.fd = stop_fd, .events = POLLIN};
    return poll(&polled, 1, timeout_ms) > 0;
}

static void stand_in(struct pump *pump, int stop_fd)
{
    pump->config.wake_fd = stop_fd;
    while (!is_stopped(stop_fd, 0)) {
        const int rc = pump_run(pump, INT64_MAX);
        if (rc == PUMP_WAKE || rc == PUMP_BUDGET || rc == PUMP_DEADLINE)
            continue;
        pump->left_errno = errno;
        pump->left_event = rc;
        checkpoint(pump);
        while (!is_stopped(stop_fd, -1))
            ;
    }
}

int pump_stand_in(struct pump *pump, int stop_fd)
{
    const pid_t parent = getpid();
    const int wake_fd = pump->config.wake_fd;
    pump->told_event = 0;
    checkpoint_all(pump);
    const pid_t pid = fork();
    if (pid != 0)
        return (int)pid;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent)
        stand_in(pump, stop_fd);
    pump->config.wake_fd = wake_fd;
    _exit(0);
}

#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXIT_NOT_STARTED = 127 };

/* A caught signal is reset by exec, an ignored or blocked one is not: Python ignores SIGPIPE, and a worker must not inherit that.
 * All are blocked until here, so that no handler of the parent's runs in the child. */
static void reset_signals(void)
{
    const struct sigaction standard = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &standard, NULL); /* fails for SIGKILL, SIGSTOP and libc's own */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int keep_only(const int *fds, size_t fd_count)
{
    if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
        return -1;
    for (size_t i = 0; i < fd_count; i++)
        if (fcntl(fds[i], F_SETFD, 0) < 0)
            return -1;
    return 0;
}

static int set_soft_limit(uint64_t descriptors)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    limit.rlim_cur = descriptors < limit.rlim_max ? descriptors : limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

/* Returns the step that failed, with errno. Does not return where none did. */
static enum spawn_step become(const struct spawn_order *order, pid_t parent)
{
    reset_signals();
    setpgid(0, 0); /* a terminal's ^C is for the parent alone: workers end with their pipes */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0)
        return SPAWN_DEATH_SIGNAL;
    if (getppid() != parent) /* it died before prctl() could see it */
        _exit(EXIT_NOT_STARTED);
    if (syscall(SYS_sched_setaffinity, 0, order->cpus_bytes, order->cpus) < 0)
        return SPAWN_CPUS;
    if (chdir(order->directory) < 0)
        return SPAWN_DIRECTORY;
    if (keep_only(order->fds, order->fd_count) < 0)
        return SPAWN_DESCRIPTORS;
    if (set_soft_limit(order->soft_descriptors) < 0)
        return SPAWN_LIMIT;
    execve(order->path, order->argv, order->envp);
    return SPAWN_EXEC;
}

static void become_or_report(const struct spawn_order *order, pid_t parent)
{
    struct spawn_failure failure = {.step = (int)become(order, parent)};
    failure.error = errno;
    const ssize_t written = write(order->report_fd, &failure, sizeof failure);
    _exit(written == (ssize_t)sizeof failure ? EXIT_NOT_STARTED : EXIT_NOT_STARTED - 1);
}

int spawn_process(const struct spawn_order *order)
{
    const pid_t parent = getpid();
    sigset_t all, before;
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* since Linux 3.4; it can't fail */
    /* Else the child might run a handler of the parent's, which writes to the parent's wake-up socket (as in glibc's posix_spawn). */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const pid_t pid = fork();
    const int error = errno;
    if (pid == 0)
        become_or_report(order, parent);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid > 0)
        setpgid(pid, pid); /* in both processes: whichever comes first, the group is there when either goes on */
    errno = error;
    return pid;
}

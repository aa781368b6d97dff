#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_NOT_STARTED = 127 };

struct child {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *directory;
    const unsigned long *cpus;
    size_t cpus_bytes;
    const int *fds;
    size_t fd_count;
    pid_t parent;
};

/* A caught signal is reset by exec, an ignored or blocked one is not: Python ignores SIGPIPE, and a worker must not inherit that. */
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

/* Returns the step that failed, with errno. Does not return where none did. */
static enum spawn_step become(const struct child *child)
{
    reset_signals();
    setpgid(0, 0); /* a terminal's ^C is for the parent alone: workers end with their pipes */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return SPAWN_DEATH_SIGNAL;
    if (getppid() != child->parent) /* it died before prctl() could see it */
        _exit(EXIT_NOT_STARTED);
    if (syscall(SYS_sched_setaffinity, 0, child->cpus_bytes, child->cpus) < 0)
        return SPAWN_CPUS;
    if (chdir(child->directory) < 0)
        return SPAWN_DIRECTORY;
    if (keep_only(child->fds, child->fd_count) < 0)
        return SPAWN_DESCRIPTORS;
    execve(child->path, child->argv, child->envp);
    return SPAWN_EXEC;
}

static void report_and_exit(int report_fd, enum spawn_step step)
{
    const struct spawn_failure failure = {.step = (int)step, .error = errno};
    const ssize_t written = write(report_fd, &failure, sizeof failure);
    _exit(written == (ssize_t)sizeof failure ? EXIT_NOT_STARTED : EXIT_NOT_STARTED - 1);
}

/* Waits until the child runs its program (end of file) or has said why it can't. Returns 1 where it has. */
static int read_report(int report_fd, struct spawn_failure *failure)
{
    ssize_t got;
    do
        got = read(report_fd, failure, sizeof *failure);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *failure;
}

static int fail(struct spawn_failure *failure, enum spawn_step step)
{
    failure->step = (int)step;
    failure->error = errno;
    return -1;
}

int spawn_process(const char *path, char *const argv[], char *const envp[], const char *directory, const unsigned long *cpus,
                  size_t cpus_bytes, const int *fds, size_t fd_count, struct spawn_failure *failure)
{
    const struct child child = {path, argv, envp, directory, cpus, cpus_bytes, fds, fd_count, getpid()};
    int report[2];
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* since Linux 3.4; it can't fail */
    if (pipe2(report, O_CLOEXEC) < 0)
        return fail(failure, SPAWN_PIPE);
    const pid_t pid = fork();
    if (pid < 0) {
        const int rc = fail(failure, SPAWN_FORK);
        close(report[0]);
        close(report[1]);
        return rc;
    }
    if (pid == 0)
        report_and_exit(report[1], become(&child));
    setpgid(pid, pid); /* in both processes: whichever comes first, the group is there when either goes on */
    close(report[1]);
    const int failed = read_report(report[0], failure);
    close(report[0]);
    if (!failed)
        return pid;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return -1;
}

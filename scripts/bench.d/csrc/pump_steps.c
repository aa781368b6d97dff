/* pump_steps FEED PIPES VECTORS: how many user-mode instructions the pump takes for a record.
 *
 * The parent steps a child through pump_run(), instruction by instruction (ptrace(2), PTRACE_SINGLESTEP), from one SIGSTOP of its own to
 * the next. So it counts what the CPU really executes, whatever its instructions; no simulator knows them all. The child puts the
 * first PUMP_READ_BYTES of FEED, what one recv brings, into the pump's own room; its pipes are /dev/null. VECTORS: a number of enum pump_vectors.
 * Prints: RECORDS INSTRUCTIONS VECTORS, the last as the CPU has them. */
#include "pump_state.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_FRAME_BYTES (16 << 20)
#define HIGH_WATER_BYTES (4 << 20)

struct counts {
    uint64_t records;
    uint32_t vectors;
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void expect(struct pump *pump, int event)
{
    int got;
    while ((got = pump_run(pump, INT64_MAX)) == PUMP_BUDGET)
        ;
    if (got != event) {
        fprintf(stderr, "the pump answered %d, expected %d\n", got, event);
        exit(1);
    }
}

static uint64_t records_total(const struct pump *pump)
{
    struct pump_counters counters;
    pump_counters(pump, &counters);
    return counters.records_total;
}

static void feed(struct pump *pump, int fd)
{
    size_t room_bytes;
    uint8_t *room = pump_room(pump, &room_bytes);
    const ssize_t size = pread(fd, room, PUMP_READ_BYTES, 0);
    if (size <= 0)
        fail("FEED");
    pump_fed(pump, (size_t)size);
}

static struct pump *new_pump(uint32_t pipes, uint32_t vectors)
{
    const int sink = open("/dev/null", O_WRONLY | O_NONBLOCK);
    const struct pump_config config = {
        .pipes = pipes,
        .route = PUMP_ROUTE_ROUND_ROBIN,
        .max_frame_bytes = MAX_FRAME_BYTES,
        .high_water_bytes = HIGH_WATER_BYTES,
        .wake_fd = eventfd(0, 0),
        .vectors = vectors,
        .stall_ns = INT64_MAX / 2,
    };
    struct pump *pump = pump_new(&config);
    if (!pump || sink < 0)
        fail("pump");
    for (uint32_t i = 0; i < pipes; i++)
        pump_set_pipe(pump, i, sink);
    pump_attach(pump, PUMP_SOURCE_CALLER, sink);
    return pump;
}

static void child(const char *path, uint32_t pipes, uint32_t vectors, struct counts *counts)
{
    const int fd = open(path, O_RDONLY);
    struct pump *pump = new_pump(pipes, vectors);
    expect(pump, PUMP_READABLE);
    feed(pump, fd);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        fail("ptrace");
    raise(SIGSTOP);
    expect(pump, PUMP_READABLE);
    raise(SIGSTOP);
    *counts = (struct counts){records_total(pump), pump->vectors};
    exit(0);
}

/* Lets the child take one step, or run (PTRACE_CONT). Returns the signal that stopped it, or -1 when it has ended. */
static int resume(pid_t pid, enum __ptrace_request request)
{
    int status = 0;
    if (ptrace(request, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) < 0)
        fail("ptrace");
    if (WIFEXITED(status) && WEXITSTATUS(status))
        exit(1);
    return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: pump_steps FEED PIPES VECTORS\n");
        return 64;
    }
    struct counts *counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    const pid_t pid = fork();
    if (pid < 0 || counts == MAP_FAILED)
        fail("fork");
    if (pid == 0)
        child(argv[1], (uint32_t)atoi(argv[2]), (uint32_t)atoi(argv[3]), counts);
    int status = 0;
    if (waitpid(pid, &status, 0) < 0 || !WIFSTOPPED(status))
        return 1;
    uint64_t instructions = 1;
    while (resume(pid, PTRACE_SINGLESTEP) == SIGTRAP)
        instructions++;
    while (resume(pid, PTRACE_CONT) >= 0)
        ;
    printf("%" PRIu64 " %" PRIu64 " %" PRIu32 "\n", counts->records, instructions, counts->vectors);
    return 0;
}

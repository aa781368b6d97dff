/* worker MODE TALLY FD...: reads all pipes until their end.
 *   count    reads and counts bytes without looking at them, so that the reader is never what limits a candidate
 *   latency  cuts the records at their lengths and books receipt time minus the feeder's stamp, in ns
 *   dump     writes each pipe's bytes to TALLY.0, TALLY.1, ... for the runner to check them
 * TALLY is a file, or a folder: then the file in it that is named after the first FD, so that several workers may be told
 * the same. It gives all pipes one size, whatever the balancer chose, so that all candidates have the same room. */
#include "stamp.h"
#include "tally.h"
#include "wire.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPE_SIZE_BYTES (1 << 20)
#define READ_BYTES (64 * 1024)
#define RECORD_MAX_BYTES (64 * 1024)
#define EVENTS_MAX 64

struct pipe {
    int fd;
    int dump_fd;
    char *waiting; /* latency: the start of a record whose end has not come yet */
    size_t waiting_bytes;
};

enum mode { COUNT, LATENCY, DUMP };

static size_t bucket_of(uint64_t ns)
{
    if (ns < 2u << TALLY_SUB_BITS)
        return ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - TALLY_SUB_BITS;
    size_t bucket = ((size_t)shift << TALLY_SUB_BITS) + (size_t)(ns >> shift);
    return bucket < TALLY_BUCKETS ? bucket : TALLY_BUCKETS - 1;
}

static void book_latency(struct tally *tally, const char *record, size_t record_bytes, uint64_t received_ns)
{
    size_t stamp_at = stamp_find(record, record_bytes);
    if (!stamp_at) {
        errno = 0;
        die("record without a time stamp: cut at a wrong place");
    }
    uint64_t latency_ns = stamp_age_ns(record + stamp_at, received_ns);
    tally->records++;
    tally->latency_buckets[bucket_of(latency_ns)]++;
    if (latency_ns > tally->latency_max_ns)
        tally->latency_max_ns = latency_ns;
}

static void cut_records(struct tally *tally, struct pipe *pipe, size_t available, uint64_t received_ns)
{
    size_t at = 0;
    uint32_t length;
    while (available - at >= sizeof length) {
        memcpy(&length, pipe->waiting + at, sizeof length);
        size_t record_bytes = le32toh(length);
        if (record_bytes > RECORD_MAX_BYTES) {
            errno = 0;
            die("record length over 64 KiB: the framing is lost");
        }
        if (available - at - sizeof length < record_bytes)
            break;
        book_latency(tally, pipe->waiting + at + sizeof length, record_bytes, received_ns);
        at += sizeof length + record_bytes;
    }
    pipe->waiting_bytes = available - at;
    memmove(pipe->waiting, pipe->waiting + at, pipe->waiting_bytes);
}

/* One read; returns false at the pipe's end. */
static _Bool take(struct tally *tally, struct pipe *pipe, enum mode mode)
{
    static char scratch[READ_BYTES];
    char *room = mode == LATENCY ? pipe->waiting + pipe->waiting_bytes : scratch;
    ssize_t size = read(pipe->fd, room, READ_BYTES);
    if (size < 0 && errno == EINTR)
        return 1;
    if (size < 0)
        die("read from a pipe");
    if (size == 0)
        return 0;
    uint64_t received_ns = now_ns();
    if (mode == LATENCY)
        cut_records(tally, pipe, pipe->waiting_bytes + (size_t)size, received_ns);
    if (mode == DUMP && !pipe_write(pipe->dump_fd, scratch, (size_t)size))
        die("dump");
    if (!tally->first_ns)
        tally->first_ns = received_ns;
    tally->last_ns = received_ns;
    tally->reads++;
    __atomic_store_n(&tally->bytes, tally->bytes + (uint64_t)size, __ATOMIC_RELEASE);
    return 1;
}

static void name_tally(char path[PATH_MAX], const char *word, const char *first_fd)
{
    struct stat stat_of;
    const _Bool is_folder = stat(word, &stat_of) == 0 && S_ISDIR(stat_of.st_mode);
    snprintf(path, PATH_MAX, "%s%s%s", word, is_folder ? "/" : "", is_folder ? first_fd : "");
}

static struct tally *map_tally(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || ftruncate(fd, sizeof(struct tally)) < 0)
        die(path);
    struct tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (tally == MAP_FAILED)
        die(path);
    close(fd);
    return tally;
}

static void open_pipe(struct pipe *pipe, const char *fd_word, enum mode mode, const char *dump_path, struct tally *tally)
{
    pipe->fd = atoi(fd_word);
    fcntl(pipe->fd, F_SETPIPE_SZ, PIPE_SIZE_BYTES); /* may be refused; what counts is read back */
    int size_bytes = fcntl(pipe->fd, F_GETPIPE_SZ);
    if (size_bytes < 0)
        die("not a pipe's fd among the arguments");
    if (!tally->pipe_size_bytes || (uint64_t)size_bytes < tally->pipe_size_bytes)
        tally->pipe_size_bytes = (uint64_t)size_bytes;
    if (mode == LATENCY && !(pipe->waiting = malloc(READ_BYTES + RECORD_MAX_BYTES + sizeof(uint32_t))))
        die("memory for a pipe");
    if (mode == DUMP && (pipe->dump_fd = open(dump_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) < 0)
        die(dump_path);
}

static enum mode parse_mode(const char *word)
{
    if (!strcmp(word, "count"))
        return COUNT;
    if (!strcmp(word, "latency"))
        return LATENCY;
    if (!strcmp(word, "dump"))
        return DUMP;
    errno = 0;
    die("MODE: expected count, latency or dump");
}

static void read_all(struct tally *tally, struct pipe *pipes, size_t pipe_count, int epoll_fd, enum mode mode)
{
    struct epoll_event events[EVENTS_MAX];
    for (size_t open_count = pipe_count; open_count;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct pipe *pipe = &pipes[events[i].data.u64];
            if (!take(tally, pipe, mode)) {
                /* Closing is not enough: the balancer may hold the same pipe end, and epoll then goes on telling of it. */
                epoll_ctl(epoll_fd, EPOLL_CTL_DEL, pipe->fd, NULL);
                close(pipe->fd);
                open_count--;
            }
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: worker MODE TALLY FD...\n");
        return 64;
    }
    enum mode mode = parse_mode(argv[1]);
    char tally_path[PATH_MAX];
    name_tally(tally_path, argv[2], argv[3]);
    struct tally *tally = map_tally(tally_path);
    size_t pipe_count = (size_t)argc - 3;
    struct pipe *pipes = calloc(pipe_count, sizeof *pipes);
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < pipe_count; i++) {
        char dump_path[PATH_MAX];
        snprintf(dump_path, sizeof dump_path, "%s.%zu", argv[2], i);
        open_pipe(&pipes[i], argv[3 + i], mode, dump_path, tally);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = i};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipes[i].fd, &event) < 0)
            die("epoll_ctl");
    }
    __atomic_store_n(&tally->pid, (uint64_t)getpid(), __ATOMIC_RELEASE);
    read_all(tally, pipes, pipe_count, epoll_fd, mode);
    return 0;
}

/* worker MODE TALLY FD...: reads all pipes until their end.
 *   count    reads and counts bytes without looking at them, so that the reader is never what limits a candidate
 *   latency  cuts the records at their lengths and books receipt time minus the feeder's stamp, in ns
 *   frames   walks the records' lengths, and counts them; where lb wants to know (LB_FIRST), tells it every half a MiB or
 *            20 ms
 *   dump     writes each pipe's bytes to TALLY.0, TALLY.1, ... for the runner to check them
 * TALLY is a file, or a folder: then the file in it that is named after the first FD, so that several workers may be told
 * the same. It gives all pipes one size, whatever the balancer chose, so that all candidates have the same room. */
#include "stamp.h"
#include "tally.h"
#include "wire.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
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
#define ACKNOWLEDGE_MS 20
#define ACKNOWLEDGE_BYTES (512 << 10)

struct pipe {
    int fd;
    int dump_fd;
    char *waiting; /* latency: the start of a record whose end has not come yet */
    size_t waiting_bytes;
    uint32_t left_bytes; /* frames: of the record in hand */
    uint32_t length;     /* ... or of its length, as far as it has come */
    unsigned length_bytes;
    uint64_t records, acknowledged;
    size_t unacknowledged_bytes;
};

enum mode { COUNT, LATENCY, FRAMES, DUMP };

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

static void walk_frames(struct tally *tally, struct pipe *pipe, const char *bytes, size_t size)
{
    const uint64_t before = pipe->records;
    for (size_t at = 0; at < size;) {
        if (pipe->left_bytes) {
            const size_t here = pipe->left_bytes < size - at ? pipe->left_bytes : size - at;
            pipe->left_bytes -= (uint32_t)here;
            pipe->records += pipe->left_bytes == 0;
            at += here;
        } else if (!pipe->length_bytes && size - at >= sizeof pipe->length) {
            memcpy(&pipe->left_bytes, bytes + at, sizeof pipe->left_bytes);
            pipe->left_bytes = le32toh(pipe->left_bytes);
            at += sizeof pipe->length;
        } else {
            pipe->length |= (uint32_t)(unsigned char)bytes[at++] << 8 * pipe->length_bytes++;
            if (pipe->length_bytes < sizeof pipe->length)
                continue;
            pipe->left_bytes = pipe->length;
            pipe->length = pipe->length_bytes = 0;
        }
    }
    tally->records += pipe->records - before;
    pipe->unacknowledged_bytes += size;
}

static int channel_of_lb(void)
{
    const char *number = getenv("LB_FIRST") ? getenv("LB_CHANNEL") : NULL;
    return number ? atoi(number) : -1;
}

/* Tells lb what was read, where it is time to or `at_once`. Returns how long to wait at most until the next time, in
 * ms; -1 where nothing is left to tell. */
static int acknowledge(int channel_fd, struct pipe *pipes, size_t pipe_count, _Bool at_once)
{
    static uint64_t told_ns;
    const _Bool is_time = at_once || now_ns() - told_ns >= ACKNOWLEDGE_MS * UINT64_C(1000000);
    for (size_t i = 0; channel_fd >= 0 && i < pipe_count; i++) {
        if (pipes[i].records == pipes[i].acknowledged)
            continue;
        if (!is_time && pipes[i].unacknowledged_bytes < ACKNOWLEDGE_BYTES)
            return ACKNOWLEDGE_MS;
        char message[64];
        const int length = snprintf(message, sizeof message, "ACK %d %" PRIu64, pipes[i].fd, pipes[i].records);
        if (write(channel_fd, message, (size_t)length) < 0)
            die("the channel");
        pipes[i].acknowledged = pipes[i].records;
        pipes[i].unacknowledged_bytes = 0;
        told_ns = now_ns();
    }
    return -1;
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
    if (mode == FRAMES)
        walk_frames(tally, pipe, scratch, (size_t)size);
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
    if (!strcmp(word, "frames"))
        return FRAMES;
    if (!strcmp(word, "dump"))
        return DUMP;
    errno = 0;
    die("MODE: expected count, latency, frames or dump");
}

static void read_all(struct tally *tally, struct pipe *pipes, size_t pipe_count, int epoll_fd, enum mode mode)
{
    struct epoll_event events[EVENTS_MAX];
    const int channel_fd = channel_of_lb();
    for (size_t open_count = pipe_count; open_count;) {
        int ready = epoll_wait(epoll_fd, events, EVENTS_MAX, acknowledge(channel_fd, pipes, pipe_count, 0));
        if (ready < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct pipe *pipe = &pipes[events[i].data.u64];
            if (!take(tally, pipe, mode)) {
                acknowledge(channel_fd, pipes, pipe_count, 1);
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

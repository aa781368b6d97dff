#include "spill_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NAME_BYTES = 64, MODE = 0600 };

static void name_of(char name[NAME_BYTES], uint32_t pipe, uint64_t segment)
{
    snprintf(name, NAME_BYTES, "%05u-%016llu.spill", pipe, (unsigned long long)segment);
}

int spill_file_open(const struct pump *pump, uint32_t pipe, uint64_t segment, int flags)
{
    char name[NAME_BYTES];
    name_of(name, pipe, segment);
    int fd;
    do
        fd = openat(pump->config.spill_fd, name, flags | O_CLOEXEC | O_NOFOLLOW, MODE);
    while (fd < 0 && errno == EINTR);
    return fd;
}

void spill_file_close(int fd)
{
    const int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
}

void spill_file_delete(struct pump *pump, uint32_t pipe, uint64_t segment)
{
    const int error = errno;
    char name[NAME_BYTES];
    struct stat about;
    name_of(name, pipe, segment);
    if (fstatat(pump->config.spill_fd, name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
        unlinkat(pump->config.spill_fd, name, 0) == 0) {
        const uint64_t freed_bytes = (uint64_t)about.st_size;
        uint64_t *disk_bytes = &pump->counters.spill_disk_bytes;
        *disk_bytes -= freed_bytes < *disk_bytes ? freed_bytes : *disk_bytes;
    }
    errno = error;
}

/* Returns 0, or -1 with errno. */
static int write_whole(int fd, struct iovec part[2], uint64_t offset)
{
    while (part[0].iov_len + part[1].iov_len) {
        const ssize_t written = pwritev(fd, part, 2, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        size_t left = (size_t)written;
        offset += left;
        for (int i = 0; i < 2; i++) {
            const size_t here = left < part[i].iov_len ? left : part[i].iov_len;
            part[i].iov_base = (uint8_t *)part[i].iov_base + here;
            part[i].iov_len -= here;
            left -= here;
        }
    }
    return 0;
}

static uint8_t *scratch_of(const struct pump *pump)
{
    return pump_at(pump, pump->spill_scratch_offset);
}

uint8_t *spill_file_crcs(const struct pump *pump)
{
    return scratch_of(pump) + SEGMENT_HEADER_BYTES + BLOCK_HEADER_BYTES;
}

/* What was written of a block is none. Leaves errno alone. */
static void take_back(const struct pump *pump, uint32_t pipe, int fd)
{
    const int error = errno;
    const struct spill *spill = spill_of(pump, pipe);
    char name[NAME_BYTES];
    name_of(name, pipe, spill->write_segment);
    const int rc = spill->write_offset ? ftruncate(fd, (off_t)spill->write_offset)
                                       : unlinkat(pump->config.spill_fd, name, 0);
    (void)rc; /* the next block is written over it */
    errno = error;
}

void spill_file_take_back(const struct pump *pump, uint32_t pipe)
{
    const int fd = spill_file_open(pump, pipe, spill_of(pump, pipe)->write_segment, O_WRONLY);
    if (fd >= 0)
        take_back(pump, pipe, fd);
    spill_file_close(fd);
}

int spill_file_append(struct pump *pump, uint32_t pipe, const uint8_t *frames, size_t available, struct block *block)
{
    struct spill *spill = spill_of(pump, pipe);
    const int is_new = spill->write_offset == 0;
    uint8_t *head = scratch_of(pump);
    block->first = spill->write_index;
    block_fill(block, frames, available, spill_file_crcs(pump));
    block_header(block, head + SEGMENT_HEADER_BYTES);
    if (is_new)
        segment_header(head);
    else
        head += SEGMENT_HEADER_BYTES;
    struct iovec part[2] = {
        {head, block_head_bytes(block) + (is_new ? SEGMENT_HEADER_BYTES : 0)},
        {(uint8_t *)(uintptr_t)frames, block->frames_bytes},
    };
    const size_t whole_bytes = part[0].iov_len + part[1].iov_len;
    if (pump->counters.spill_disk_bytes + whole_bytes > pump->config.spill_max_bytes) {
        errno = 0;
        return -1;
    }
    const int fd = spill_file_open(pump, pipe, spill->write_segment, O_WRONLY | (is_new ? O_CREAT | O_EXCL : 0));
    if (fd < 0)
        return -1;
    const int rc = write_whole(fd, part, spill->write_offset);
    if (rc < 0) {
        take_back(pump, pipe, fd);
    } else {
        spill->write_offset += whole_bytes;
        spill->write_index += block->records;
        pump->counters.spill_disk_bytes += whole_bytes;
    }
    spill_file_close(fd);
    return rc;
}

/* Reads up to so many bytes; returns how many there are, or -1 with errno. */
static ssize_t read_up_to(int fd, uint8_t *bytes, size_t length, uint64_t offset)
{
    size_t at = 0;
    while (at < length) {
        const ssize_t got = pread(fd, bytes + at, length - at, (off_t)(offset + at));
        if (got == 0)
            break;
        if (got > 0)
            at += (size_t)got;
        else if (errno != EINTR)
            return -1;
    }
    return (ssize_t)at;
}

int spill_file_header(int fd, enum segment_kind *kind, uint64_t *done)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    const ssize_t got = read_up_to(fd, header, sizeof header, 0);
    if (got < (ssize_t)sizeof header)
        return got < 0 ? -1 : 0;
    *kind = segment_look(header, done);
    return 1;
}

int spill_file_block_header(int fd, uint64_t offset, uint64_t first, struct block *block)
{
    uint8_t header[BLOCK_HEADER_BYTES];
    const ssize_t got = read_up_to(fd, header, sizeof header, offset);
    if (got < 0)
        return -1;
    return got == (ssize_t)sizeof header && block_look(header, first, block);
}

int spill_file_block(const struct pump *pump, uint32_t pipe, int fd, uint64_t offset, struct block *block,
                     size_t *available)
{
    uint8_t *front = pump_at(pump, spill_of(pump, pipe)->front);
    const size_t crcs_bytes = (size_t)block->records * BLOCK_CRC_BYTES;
    const ssize_t crcs = read_up_to(fd, spill_file_crcs(pump), crcs_bytes, offset + BLOCK_HEADER_BYTES);
    if (crcs < (ssize_t)crcs_bytes || block->frames_bytes > spill_front_bytes(&pump->config))
        return crcs < 0 ? -1 : 0;
    const ssize_t got = read_up_to(fd, front, block->frames_bytes, offset + block_head_bytes(block));
    if (got < 0)
        return -1;
    *available = (size_t)got;
    if (*available < block->frames_bytes)
        block->records = block_whole_records(block, spill_file_crcs(pump), front, *available);
    return block->records > 0;
}

void spill_file_note_done(int fd, uint64_t done)
{
    const int error = errno;
    uint8_t bytes[SEGMENT_DONE_BYTES];
    segment_done(bytes, done);
    if (pwrite(fd, bytes, sizeof bytes, SEGMENT_DONE_AT) < 0) {
        /* it comes twice */
    }
    errno = error;
}

/* What the pump knows: one struct in one mapping.
 *
 * Law: parts of the mapping are named by offset and functions by number, so that the mapping may stand anywhere, and
 * outlive the process. Each field is changed by the files named above it alone.
 *
 *   input:  [ ... | text | gap | raw | free ... ]    text: payload not dealt yet
 *                                                    gap:  frame headers and control frames inside a fragmented message
 *                                                    raw:  bytes whose frame was not read yet
 *   outbox: [ ... | head ... tail | ... ] per pipe   frames waiting for their pipe: 4-byte little-endian length, record
 *           begin          limit: the high-water mark
 *   where it retains:
 *           [ ... | kept ... frame ... head ... tail | ... ]    kept to head: written, and not acknowledged */
#ifndef PUMP_STATE_H
#define PUMP_STATE_H

#include "pump.h"
#include "scan.h"

#include <endian.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

enum {
    PUMP_READ_BYTES = 256 * 1024,  /* of one recv: fits the second-level cache; one more call per 256 KiB is noise */
    PUMP_ROOM_BYTES = PUMP_READ_BYTES + 2 * 16 * 1024, /* a read's TLS records, and the part of one read before */
    PUMP_PAUSE_MS = 10,            /* where the system has no memory: until the next try */
    PUMP_LENGTH_BYTES = 4,
    FLAT_MAX_BYTES = 256,          /* of a flat object: more than twice the longest trade; longer ones go the general way */
    PUMP_MOVE_SCRATCH_BYTES = 4096,
    DEAL_PAD_BYTES = 1024          /* behind the input and every outbox: dealing loads and stores whole vectors */
};

/* Who tells when to try again to write to a pipe. */
enum pipe_full {
    PIPE_NOT_FULL,
    PIPE_FULL,  /* poll(): the last write met EAGAIN */
    PIPE_PAUSED /* the clock: the system had no memory for it. poll() would say that the pipe has room */
};

/* What the last read told. Each one tells of more than the one before. */
enum last_read {
    READ_NOTHING,
    READ_PART,   /* nothing, though poll() had said readable: Linux 6.1 shows half a TLS record so */
    READ_SHORT,  /* less than was asked for: most likely nothing is left */
    READ_FULL    /* more is there */
};

/* What dealing a record needs comes first, in one line of the cache. */
struct pump_pipe {
    _Alignas(64) uint64_t tail; /* behind the outbox's last byte; this and the next five are offsets in the mapping */
    uint64_t flat_limit;  /* up to here there is room for any flat record */
    uint64_t limit;       /* the high-water mark */
    uint64_t begin;       /* of the outbox */
    uint64_t head;        /* the first byte not written */
    uint64_t frame;       /* begin of the first frame not written whole, <= head */
    uint64_t dealt_total; /* to this pipe, and not dropped */
    int fd;               /* -1: closed */
    uint8_t full;         /* enum pipe_full */
    uint8_t touched;      /* in the list of outboxes to be written */
    uint8_t policy;       /* enum pump_policy */
    uint8_t is_done;      /* its end is told (PUMP_PIPE_DRAINED) or will never be (closed) */
    uint8_t is_spilled;   /* spill.c: there are records on disk, which come before the outbox's */
    uint64_t kept;        /* begin of a frame before which none is wanted again, <= frame: an offset, too */
    uint64_t kept_total;  /* where the pump retains: how many were dealt before it, in all */
    uint64_t moved_bytes_total; /* ... and what they had in bytes, as far as the outbox has been moved */
    uint64_t marks_offset; /* struct retain_mark[RETAIN_MARKS] */
    uint32_t first_mark, mark_count;
    uint64_t spilled_total; /* of those dealt: went to the disk */
    uint64_t written_total;
    uint64_t written_bytes_total;
    uint64_t acknowledged_total;
    int channel_fd;             /* -1, or where its reader acknowledges (hear.c), which */
    int reader_fd;              /* knows the pipe by this number, */
    uint64_t first_record;      /* and whose first record has this one */
    uint64_t redelivered_total;
    uint64_t dropped_total;
    uint64_t dropped_bytes_total;
    int64_t stopped_ns_total;
};

/* Constants of the fast path's vectors. A compiler that saw their values would make them anew for every record. */
struct flat_vectors {
    _Alignas(64) uint8_t head_above[64]; /* what the bytes of a flat object's first block are below (struct layout) */
    uint8_t above[64];                   /* ... of any other */
    uint8_t backslash[64];
    uint8_t quote[64];
};

/* What an adopted mapping must begin with: adopt.c. */
struct pump_header {
    char magic[8];
    uint32_t version;           /* PUMP_MAPPING_VERSION */
    uint32_t description;       /* PUMP_MAPPING_DESCRIPTION */
    uint32_t pump_bytes, pipe_bytes, spill_bytes; /* of the structs */
    uint32_t unused;
};

/* move.c: bytes within the mapping that are on their way to where the checkpoint of this generation says that they are. */
struct pump_move {
    uint64_t generation;
    uint64_t to, from, bytes;   /* offsets in the mapping */
    uint64_t done_bytes;        /* of them, from the end where they move up */
    uint64_t scratched;         /* 1 + done_bytes where the next of them are in move_scratch, too */
};

/* receive.c: the read that may go on. The kernel writes what it has read, and how much that is, before the process can be
 * killed. */
struct pump_read {
    uint64_t generation;        /* of the checkpoint that it follows */
    struct mmsghdr message;
    struct iovec room;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(uint8_t))];
};

/* outbox.c: the write that may go on. */
struct pump_write {
    uint64_t generation;        /* of the checkpoint that it follows */
    uint64_t offset;            /* in the mapping, of its first byte */
    uint64_t bytes;             /* that were offered; once it is known, that were taken */
    uint32_t pipe;
    uint32_t is_known;
};

struct pump {
    struct pump_header header;
    uint64_t mapped_bytes;
    int memory_fd;              /* of the mapping: mapping.c */
    struct readers *readers;    /* readers.c: this process's, to its part of the mapping; NULL where there are none */
    uint64_t readers_offset;    /* struct readers */
    uint64_t rings_offset;      /* of their rings, in the file */
    struct pump_config config;

    /* What a checkpoint saves of the pump. */
    struct pump_counters counters;
    struct pump_detail detail;
    uint64_t detail_offset;     /* of detail.bytes in the mapping */
    int32_t left_event;         /* stand_in.c: what the next pump_run() is to answer, and errno with it; or 0 */
    int32_t left_errno;
    int32_t told_event;         /* pump.c: what the last pump_run() has answered, for who adopts it before the next */

    /* pump.c: the session and its end */
    uint32_t source;            /* enum pump_source */
    uint64_t sessions_total;    /* that were attached */
    int feed_fd;
    int32_t reset_errno;        /* receive.c: why the connection is over, once what it had is read; or 0 */
    uint8_t has_work;           /* bytes were received that input_parse() has not come to */
    uint64_t flushed_bytes_total; /* of what was dealt, at the last flush */

    /* receive.c and wait.c: see the table in pump.c */
    uint8_t last_read;          /* enum last_read */
    uint8_t is_readable;        /* poll() has said so since */
    uint8_t has_polled;         /* since then */

    /* input.c: the frame and the message in hand */
    uint8_t in_message;
    uint8_t frame_fin;
    uint8_t is_message_malformed; /* its first fault was told */
    uint64_t frame_left_bytes;
    uint64_t message_bytes;     /* of the message's payload, up to text_end */
    struct scan scan;

    /* receive.c, input.c, deal.h: the input */
    uint64_t input_offset;
    size_t input_capacity_bytes;
    size_t input_touched_bytes; /* of it, from its begin on, at the last move */
    size_t text_begin, text_end, raw_begin, raw_end;

    /* deal.h */
    uint8_t vectors;            /* enum pump_vectors */
    uint8_t held_cut;           /* how the held record was cut */
    uint32_t held_pipe;         /* which pipe it found full */
    size_t held_bytes;          /* length of a record at text_begin that was cut and found its pipe full */
    uint32_t next_pipe;         /* of round-robin; the one that was chosen last, of least-backlog */

    /* backlog.c: what the chosen pipe gets before the next is chosen */
    uint64_t portion_begin;     /* its outbox's tail, when it was chosen */
    uint64_t portion_bytes;
    uint64_t portion_total_before; /* all that was dealt to it before */
    int64_t backlog_due_ns;     /* of the next look into the pipes */
    uint64_t backlogs_offset;   /* uint64_t[pipes] */

    /* stop.c: the stop, if there is one (counters.stopped, counters.full_pipe) */
    int64_t stopped_since_ns;
    uint8_t is_stall_told;
    uint8_t has_resumed;        /* PUMP_RESUMED is still to be told, of: */
    uint32_t resumed_pipe;
    int64_t stalled_ns;

    /* drain.c */
    uint8_t draining;
    uint32_t undrained_count;   /* pipes that are not done */
    uint32_t drain_at;          /* where the search for the next one that is begins */

    /* outbox.c */
    uint32_t touched_count;
    uint32_t full_count;        /* paused ones included */
    uint32_t paused_count;
    int64_t pause_ends_ns;      /* of the paused pipes */
    uint64_t touched_offset;    /* uint32_t[pipes]: outboxes with bytes to write */
    uint64_t spills_offset;     /* struct spill[pipes]; 0 where there is no spill */
    uint64_t spill_scratch_offset; /* room for spill_file.c */
    int64_t spill_retry_ns;     /* 0, or when the disk, which has refused, is tried again */
    uint64_t polled_offset;     /* struct pollfd[pipes + 3]: room for wait.c */

    /* From here on, nothing is part of a checkpoint. */
    struct flat_vectors flat;   /* deal.h */

    /* samples.c */
    uint32_t sample_count;
    struct pump_sample samples[PUMP_SAMPLES_MAX];

    /* arrivals.c */
    int64_t arrival_due_ns;     /* a record that is read from then on is kept */
    struct pump_arrival newest;
    struct pump_arrival arrivals[PUMP_ARRIVALS];

    /* checkpoint.c, and what goes on since the last one */
    uint64_t generation;        /* of the last checkpoint */
    uint64_t checkpoints_offset;
    uint8_t is_saved;           /* nothing of what a checkpoint of the pump saves has changed since */
    struct pump_move move;
    struct pump_read read;
    struct pump_write write;
    uint8_t move_scratch[PUMP_MOVE_SCRATCH_BYTES];
    struct pump_pipe pipe[];
};

static inline uint8_t *pump_at(const struct pump *pump, uint64_t offset)
{
    return (uint8_t *)(uintptr_t)pump + offset;
}

/* The list of outboxes with bytes to write: outbox.h. */
static inline uint32_t *pump_touched(const struct pump *pump)
{
    return (uint32_t *)(void *)pump_at(pump, pump->touched_offset);
}

/* Of the frame that begins there, its length included. */
static inline size_t pump_framed_bytes(const struct pump *pump, uint64_t frame)
{
    uint32_t wire_length;
    memcpy(&wire_length, pump_at(pump, frame), PUMP_LENGTH_BYTES);
    return PUMP_LENGTH_BYTES + le32toh(wire_length);
}

static inline const uint8_t *pump_text(const struct pump *pump)
{
    return pump_at(pump, pump->input_offset + pump->text_begin);
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif

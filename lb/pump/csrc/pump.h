/* The pump: reads a session's bytes, cuts them into records, deals the records to pipes.
 *
 * Law: everything the pump knows is in one struct in one mapping, which names its parts by offset, so that the mapping may stand
 * anywhere. Python decides; the pump only tells (enum pump_event) and counts.
 *
 *   input:  [ ... | text | gap | raw | free ... ]      text: payload not dealt yet, raw: bytes whose frame was not read yet,
 *                                                      gap: frame headers and control frames inside a fragmented message
 *   outbox: [ ... | head ... tail | ... ] per pipe     frames (4-byte little-endian length, record) waiting for their pipe
 *           begin          limit: the high-water mark
 *
 * Ownership: the pump owns its mapping and no fd. The caller owns every fd and keeps it open while the pump has it. */
#ifndef PUMP_H
#define PUMP_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "pump_rc.h"
#include "scan.h"
#include "ws_frame.h"

/* cffi: begin */
struct pump;

enum pump_source {
    PUMP_SOURCE_NONE,   /* no session: only what waits is written */
    PUMP_SOURCE_SOCKET, /* plain bytes from a socket */
    PUMP_SOURCE_KTLS,   /* a socket whose TLS session the kernel holds */
    PUMP_SOURCE_CALLER  /* the caller reads, and gives its bytes with pump_fed() */
};

enum pump_route { PUMP_ROUTE_ROUND_ROBIN, PUMP_ROUTE_SYMBOL };

/* What a venue's messages look like. */
enum pump_layout { PUMP_LAYOUT_POLYGON };

/* What happens to a record whose pipe is full. */
enum pump_policy {
    PUMP_POLICY_BLOCK,      /* reading stops until there is room */
    PUMP_POLICY_DROP_NEWEST /* it is dropped, and counted */
};

/* Which instructions deal records. */
enum pump_vectors { PUMP_VECTORS_BASELINE, PUMP_VECTORS_AVX2, PUMP_VECTORS_AVX512 };

/* Why pump_run() came back without an error. */
enum pump_event {
    PUMP_BUDGET,     /* enough work done for once, or pump_has_input() has become false; call again */
    PUMP_DEADLINE,   /* the deadline has passed */
    PUMP_WAKE,       /* the wake-up fd is readable */
    PUMP_READABLE,   /* PUMP_SOURCE_CALLER: there is something to read, and room for it */
    PUMP_NOTICE,     /* event bytes: a record that is the venue's own word, not the market's */
    PUMP_CONTROL,    /* event bytes: the payload of a control frame; event.opcode: which */
    PUMP_TLS_RECORD, /* event bytes: a TLS record that is no application data; event.opcode: its type; event.end: its last piece */
    PUMP_MALFORMED,  /* event bytes: from the fault on, as far as received; event.error: which; its message's rest is skipped */
    PUMP_EOF,        /* the peer has closed; everything before was dealt */
    PUMP_STALLED,    /* event.pipe: full, and has stopped the reading for stall_ns without interruption */
    PUMP_RESUMED,    /* event.pipe: after PUMP_STALLED, stops the reading no more; event.stalled_ns: for how long it did */
    PUMP_PIPE_DRAINED, /* after pump_drain(), event.pipe: nothing waits for it any more; once per pipe that is not closed */
    PUMP_DRAINED     /* after pump_drain(): nothing waits any more for any pipe that is not closed */
};

/* What the last event was about. The bytes are valid until the next call with the same pump. */
struct pump_detail {
    const uint8_t *bytes;
    size_t length;
    int error;           /* enum pump_rc */
    int opcode;
    int end;
    uint64_t message_offset_bytes; /* PUMP_MALFORMED: where in its message the fault is */
    uint32_t pipe;
    int64_t stalled_ns;
};

struct pump_counters {
    uint64_t reads_total;
    uint64_t received_bytes_total;      /* from the session, websocket framing included */
    uint64_t frames_total;
    uint64_t messages_total;
    uint64_t records_total;             /* dealt: written, waiting or dropped */
    uint64_t record_bytes_total;        /* of those that were not dropped, without the 4-byte lengths */
    uint64_t records_exact_total;       /* of those, cut by the exact scanner */
    uint64_t notices_total;
    uint64_t malformed_total;           /* messages given up in part or whole */
    uint64_t cut_off_bytes_total;       /* of records that their session's end cut off */
    uint64_t full_total;                /* times a full pipe stopped the reading */
    uint64_t pauses_total;              /* times the system had no memory for a write or a poll */
    int64_t last_input_ns;              /* CLOCK_MONOTONIC: when the last byte came, or reading was taken up again */
    uint32_t full_pipe;                 /* the pipe that stops the reading, where stopped */
    uint32_t stopped;                   /* 1 while a full pipe stops the reading */
};

struct pump_pipe_counters {
    uint64_t records_total;             /* dealt to this pipe: written_total + waiting_records + dropped_total */
    uint64_t written_total;             /* written to it whole */
    uint64_t written_bytes_total;       /* written to it, lengths included, in part too */
    uint64_t waiting_records;           /* in its outbox, counted there one by one */
    uint64_t waiting_bytes;             /* in its outbox, not written yet */
    uint64_t dropped_total;             /* PUMP_POLICY_DROP_NEWEST: found it full */
    int64_t stopped_ns_total;           /* for how long it has stopped the reading, up to now */
};

/* What pump_unread() found: see there. */
struct pump_unread {
    uint64_t records;
    uint64_t bytes;
};

struct pump_config {
    uint32_t pipes;
    uint32_t route;                     /* enum pump_route */
    uint64_t max_frame_bytes;           /* also the longest record */
    uint64_t high_water_bytes;          /* an outbox at this mark stops the reading */
    int wake_fd;                        /* polled for reading, never read */
    uint32_t vectors;                   /* enum pump_vectors: no wider ones, for the tests of each */
    uint32_t layout;                    /* enum pump_layout */
    int64_t stall_ns;                   /* after how long PUMP_STALLED tells */
};

/* Returns a pump, or NULL with errno. */
struct pump *pump_new(const struct pump_config *config);
void pump_free(struct pump *pump);

/* Gives the pump the write end of a pipe, O_NONBLOCK. */
void pump_set_pipe(struct pump *pump, uint32_t pipe, int fd);
void pump_set_policy(struct pump *pump, uint32_t pipe, enum pump_policy policy);

/* The pump never writes to this pipe again. What waits for it stays and is counted as waiting; what is dealt to it from now on, too. */
void pump_close_pipe(struct pump *pump, uint32_t pipe);

/* Begins a session. The fd must be non-blocking; it stays the caller's. */
void pump_attach(struct pump *pump, enum pump_source source, int fd);

/* Ends the session: no byte is read any more. Records received whole are still dealt, up to a fault or a close frame. */
void pump_detach(struct pump *pump);

/* Whether bytes given with pump_fed(), or left of an ended session, are still to be dealt. No session may begin before that is done. */
int pump_has_input(const struct pump *pump);

/* Ends the session for good. What was received is dealt at once, full pipes or not: outboxes have room for all of it. From then on
 * pump_run() answers PUMP_PIPE_DRAINED for each pipe and PUMP_DRAINED after the last. */
void pump_drain(struct pump *pump);

/* Works until there is an event (enum pump_event), or an error (enum pump_rc, < 0): of the session, or PUMP_ERR_PIPE. That is of
 * event.pipe; what waits for it stays, and is tried again by every call until the pipe is closed.
 * deadline_ns is CLOCK_MONOTONIC. Never blocks past it, nor past a readable wake-up fd. */
int pump_run(struct pump *pump, int64_t deadline_ns);

/* PUMP_SOURCE_CALLER: where the next bytes go, and how many fit (at least PUMP_ROOM_BYTES unless reading is stopped);
 * then how many were put there. */
uint8_t *pump_room(struct pump *pump, size_t *room_bytes);
void pump_fed(struct pump *pump, size_t bytes);

void pump_detail(const struct pump *pump, struct pump_detail *detail);
void pump_counters(const struct pump *pump, struct pump_counters *counters);
void pump_pipe_counters(const struct pump *pump, uint32_t pipe, struct pump_pipe_counters *counters);

/* Records that only the exact scanner could cut, the first of each event. Fills *sample and returns 1, or 0 where there are fewer
 * than index + 1. */
enum { PUMP_LAYOUTS_MAX = 16, PUMP_SAMPLE_BYTES = 120 };
struct pump_sample {
    uint64_t event_hash;
    size_t length;
    uint8_t bytes[120];
};
int pump_layout(const struct pump *pump, uint32_t index, struct pump_sample *sample);

/* A reader of this pipe has died and may have taken part of a record. Drops the rest of that record from the pipe's read end, so
 * that the next reader begins with a frame. A record of which the pipe holds no further byte is sent again whole.
 * Returns the number of bytes dropped, or PUMP_ERR_PIPE with errno. */
int64_t pump_realign(struct pump *pump, uint32_t pipe, int read_fd);

/* Reads a pipe that has no reader any more to its end, and counts what nobody took: the records that were written whole and not read
 * whole, and their bytes, lengths included, as far as they were not read. Blocks never, whatever the flags of read_fd. A record
 * written in part is waiting, with all its bytes: no part of it is counted here, and should the pipe go on, it is sent again whole.
 * So written_total = read whole by somebody + unread.records, and a record is waiting or unread, never both.
 * Returns 0, or PUMP_ERR_PIPE with errno. */
int pump_unread(struct pump *pump, uint32_t pipe, int read_fd, struct pump_unread *unread);
/* cffi: end */

enum {
    PUMP_READ_BYTES = 256 * 1024,  /* of one recv: fits the second-level cache, and one more system call per 256 KiB is noise */
    PUMP_ROOM_BYTES = PUMP_READ_BYTES + 2 * 16 * 1024, /* a read's worth of TLS records and the part of one read before */
    PUMP_BATCH_BYTES = 1024 * 1024, /* written at once while every read is full: each write may have to wake its reader */
    PUMP_HOLD_PIPES = 32,          /* so many outboxes are worth one more look at the socket before they are written */
    PUMP_HOLD_BYTES = 8 * 1024,    /* per outbox, on average: what is worth a system call however much more is there */
    PUMP_ROUNDS_PER_RUN = 256,     /* the work budget: without a poll(), which looks at the wake-up fd, or past the deadline */
    PUMP_PAUSE_MS = 10,            /* where the system has no memory: until the next try */
    PUMP_LENGTH_BYTES = 4,
    FLAT_MAX_BYTES = 256,          /* more than twice the longest trade; a longer record goes the general way */
    DEAL_PAD_BYTES = 1024          /* behind the input and every outbox: dealing loads and stores whole vectors */
};

enum pump_arrived {
    PUMP_ARRIVED_ALL,    /* nothing is left, or poll() will tell: poll first */
    PUMP_ARRIVED_PART,   /* poll() said readable, and there was nothing: Linux 6.1 shows half a TLS record so */
    PUMP_ARRIVED_HIDDEN, /* pipes are full and must be looked at, but poll() may hide what is left: do not wait in it */
    PUMP_ARRIVED_SOME,   /* the last read was short: most likely nothing is left */
    PUMP_ARRIVED_POLLED, /* poll() said readable */
    PUMP_ARRIVED_MUCH    /* the last read was full: more is there */
};

/* Who tells when to try again to write. */
enum pipe_full {
    PIPE_NOT_FULL,
    PIPE_FULL,  /* poll(): the last write met EAGAIN */
    PIPE_PAUSED /* the clock: the system had no memory for it. poll() would say that the pipe has room */
};

/* What dealing a record needs comes first, in one line of the cache. */
struct pump_pipe {
    _Alignas(64) uint64_t tail; /* behind the outbox's last byte; this and the next five are offsets in the mapping */
    uint64_t flat_limit;  /* up to here there is room for any flat record */
    uint64_t limit;       /* the high-water mark */
    uint64_t begin;       /* of the outbox */
    uint64_t head;        /* the first byte not written */
    uint64_t frame;       /* begin of the first frame not written whole, <= head */
    uint64_t dealt_total;
    int fd;
    uint8_t full;         /* enum pipe_full */
    uint8_t touched;      /* in the list of outboxes to be written */
    uint8_t policy;       /* enum pump_policy */
    uint8_t is_done;      /* its end is told (PUMP_PIPE_DRAINED) or will never be (closed) */
    uint64_t written_total;
    uint64_t written_bytes_total;
    uint64_t dropped_total;
    int64_t stopped_ns_total;
};

/* Constants of the fast path's vectors. A compiler that saw their values would make them anew for every record. */
struct flat_vectors {
    _Alignas(64) uint8_t head_above[64]; /* what the bytes of a record's first block are below: its event's letter is no 's' of status */
    uint8_t above[64];                   /* ... of any other */
    uint8_t backslash[64];
    uint8_t quote[64];
};

struct pump {
    uint64_t mapped_bytes;
    struct pump_config config;
    struct pump_counters counters;
    struct pump_detail detail;
    uint64_t detail_offset;   /* of detail.bytes in the mapping */

    /* the session */
    uint32_t source;
    int feed_fd;
    uint8_t vectors;          /* enum pump_vectors */
    uint8_t arrived;          /* enum pump_arrived: what the last read tells about the next */
    uint8_t has_work;         /* bytes were received that input_parse() has not come to */
    uint8_t draining;

    /* the frame and the message in hand */
    uint8_t in_message;
    uint8_t frame_fin;
    uint64_t frame_left_bytes;
    uint64_t message_bytes;   /* of the message's payload, up to text_end */
    struct scan scan;

    /* the input */
    uint64_t input_offset;
    size_t input_capacity_bytes;
    size_t input_touched_bytes; /* of it, from its begin on, at the last move */
    size_t text_begin, text_end, raw_begin, raw_end;
    size_t held_bytes;        /* length of a record at text_begin that was cut and found its pipe full */
    uint8_t held_cut;         /* how it was cut */
    uint32_t held_pipe;       /* which pipe that was */

    /* the stop: counters.stopped, counters.full_pipe */
    int64_t stopped_since_ns;
    uint8_t is_stall_told;
    uint8_t has_resumed;      /* PUMP_RESUMED is still to be told, of: */
    uint32_t resumed_pipe;
    int64_t stalled_ns;

    /* layouts that miss the fast path */
    uint32_t layout_count;
    struct pump_sample layouts[PUMP_LAYOUTS_MAX];

    struct flat_vectors flat;

    /* the outboxes */
    uint32_t next_pipe;       /* of round-robin */
    uint32_t touched_count;
    uint32_t full_count;      /* paused ones included */
    uint32_t paused_count;
    int64_t pause_ends_ns;    /* of the paused pipes */
    uint32_t undrained_count; /* draining: pipes that are not done */
    uint32_t drain_at;        /* draining: where the search for the next one that is begins */
    uint64_t flushed_bytes_total; /* staged_bytes_total() at the last flush */
    uint64_t touched_offset;  /* uint32_t[pipes]: outboxes with bytes to write */
    uint64_t polled_offset;   /* struct pollfd[pipes + 2] */
    struct pump_pipe pipe[];
};

static inline uint8_t *pump_at(const struct pump *pump, uint64_t offset)
{
    return (uint8_t *)(uintptr_t)pump + offset;
}

static inline int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline const uint8_t *pump_text(const struct pump *pump)
{
    return pump_at(pump, pump->input_offset + pump->text_begin);
}

static inline uint32_t *pump_touched(struct pump *pump)
{
    return (uint32_t *)(void *)pump_at(pump, pump->touched_offset);
}

/* pump.c: gives back the memory of whole pages between two offsets, both of one part of the mapping: it reads as zeros from then on.
 * Leaves errno as it is. */
void pump_give_back(struct pump *pump, uint64_t begin, uint64_t end);

/* Puts an outbox into the list of those to be written. */
static inline __attribute__((always_inline)) void outbox_touch(struct pump *pump, struct pump_pipe *pipe)
{
    if (pipe->touched)
        return;
    pipe->touched = 1;
    pump_touched(pump)[pump->touched_count++] = (uint32_t)(pipe - pump->pipe);
}

/* deal.c: cuts the text in hand and puts the records into outboxes. Returns 0 when all is done that can be done, PUMP_NOTICE,
 * DEAL_FULL, or an error of the message. */
enum { DEAL_FULL = 1000 };
int deal_text(struct pump *pump);
void deal_init(struct pump *pump, uint32_t widest);

/* input.c: reads frames until more bytes are needed (0), a pipe is full (DEAL_FULL), an event, or an error of the session. */
int input_parse(struct pump *pump);
void input_reset(struct pump *pump);

/* outbox.c */
int outbox_make_room(struct pump *pump, uint32_t pipe, size_t bytes); /* 1: there is room, 0: full, or an error */
void outbox_init(struct pump *pump, uint32_t pipe, uint64_t begin);
int outbox_flush(struct pump *pump, uint32_t pipe);  /* 0, or an error: then it is touched, so that it is tried again */
int outbox_flush_touched(struct pump *pump);         /* 0, or the last error, after all were tried */
int outbox_flush_full(struct pump *pump, uint32_t pipe); /* as outbox_flush(), one that was full and may be no more */
void outbox_close(struct pump *pump, uint32_t pipe);
uint64_t outbox_room_bytes(const struct pump_config *config, size_t input_bytes); /* without the pad behind it */
void outbox_lift_limits(struct pump *pump);

#endif

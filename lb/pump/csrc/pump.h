/* The pump: reads a session's bytes, cuts them into records, deals the records to pipes. This is its face: what
 * Python, the tests and the benchmark may use. Its state is in pump_state.h.
 *
 * Law: Python decides; the pump only tells (enum pump_event) and counts.
 *
 * Ownership: the pump owns its mapping, with its descriptor, and no other fd. The caller owns every fd and keeps it open while the pump has it. */
#ifndef PUMP_H
#define PUMP_H

#include <stddef.h>
#include <stdint.h>

#include "layouts.h"
#include "pump_rc.h"

/* cffi: begin */
struct pump;

enum pump_source {
    PUMP_SOURCE_NONE,   /* no session: only what waits is written */
    PUMP_SOURCE_SOCKET, /* plain bytes from a socket */
    PUMP_SOURCE_KTLS,   /* a socket whose TLS session the kernel holds */
    PUMP_SOURCE_CALLER  /* the caller reads, and gives its bytes with pump_fed() */
};

/* Which pipe a record goes to. */
enum pump_route {
    PUMP_ROUTE_ROUND_ROBIN,  /* the next in turn */
    PUMP_ROUTE_SYMBOL,       /* the one of its shard key */
    PUMP_ROUTE_LEAST_BACKLOG, /* the one with the least bytes that nobody has read, portion by portion */
    PUMP_ROUTE_KEY           /* the one of what its member config.key_member says */
};

/* What happens to a record whose pipe is full. */
enum pump_policy {
    PUMP_POLICY_BLOCK,       /* reading stops until there is room */
    PUMP_POLICY_DROP_NEWEST, /* it is dropped, and counted */
    PUMP_POLICY_DROP_OLDEST, /* the older half of what waits is, but no record that was begun to be written */
    PUMP_POLICY_SPILL        /* what waits goes to the disk; where that refuses, as PUMP_POLICY_BLOCK */
};

/* Which instructions deal records. */
enum pump_vectors { PUMP_VECTORS_BASELINE, PUMP_VECTORS_AVX2, PUMP_VECTORS_AVX512 };

/* Why pump_run() came back without an error. `event` is what pump_detail() tells. */
enum pump_event {
    PUMP_BUDGET = 1,   /* enough work done for once, or pump_has_input() has become false; call again */
    PUMP_DEADLINE,     /* the deadline has passed */
    PUMP_WAKE,         /* the wake-up fd is readable */
    PUMP_READABLE,     /* PUMP_SOURCE_CALLER: there is something to read, and room for it */
    PUMP_NOTICE,       /* event.bytes: a record that is the venue's own word, not the market's */
    PUMP_CONTROL,      /* event.bytes: the payload of a control frame; event.opcode: which */
    PUMP_TLS_RECORD,   /* event.bytes: a TLS record that is no application data; event.opcode: its type; event.end: its end */
    PUMP_MALFORMED,    /* event.bytes: from a message's first fault on, as far as received; event.error: which. What is no record is
                          skipped: one element of the array (PUMP_ERR_NOT_OBJECT), or the message's rest */
    PUMP_EOF,          /* the peer has closed; everything before was dealt */
    PUMP_STALLED,      /* event.pipe: full, and has stopped the reading for stall_ns without interruption */
    PUMP_RESUMED,      /* event.pipe: after PUMP_STALLED, stops the reading no more; event.stalled_ns: how long it did */
    PUMP_PIPE_DRAINED, /* after pump_drain(), event.pipe: nothing waits for it any more; once per pipe that is not closed */
    PUMP_READER_GONE,  /* event.pipe: the number of a reader that nobody reads any more */
    PUMP_DRAINED       /* after pump_drain(): nothing waits any more for any pipe that is not closed */
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
    uint64_t record_bytes_total;        /* of those that came into an outbox, without the 4-byte lengths */
    uint64_t records_exact_total;       /* of those, cut by the exact scanner */
    uint64_t unwanted_total;            /* the market's records that no pipe wants: for readers alone, or for nobody */
    uint64_t notices_total;
    uint64_t malformed_total;           /* messages with a fault */
    uint64_t skipped_elements_total;    /* of arrays: those that are no objects */
    uint64_t skipped_bytes_total;       /* of those, up to the separator behind; and what follows any other fault */
    uint64_t cut_off_bytes_total;       /* of records that their session's end cut off */
    uint64_t full_total;                /* times a full pipe stopped the reading */
    uint64_t pauses_total;              /* times the system had no memory for a write or a poll */
    int64_t last_input_ns;              /* CLOCK_MONOTONIC: when the last byte came, or reading was taken up again */
    uint32_t full_pipe;                 /* the pipe that stops the reading, where stopped */
    uint32_t stopped;                   /* 1 while a full pipe stops the reading */
    uint64_t spill_disk_bytes;          /* size of all segments, records in them that are written included */
    uint64_t spill_refusals_total;      /* times the disk refused to take records, or to give them back */
    int spill_errno;                    /* why, the last time; 0: spill_max_bytes */
};

struct pump_pipe_counters {
    uint64_t records_total;             /* dealt to this pipe. records_total + recovered_total = written_total +
                                           waiting_records + spilled_records + dropped_total */
    uint64_t written_total;             /* written to it whole: those that are to be written again are not any more */
    uint64_t written_bytes_total;       /* written to it, lengths included, in part too, and each time */
    uint64_t waiting_records;           /* in its outbox: what was dealt and went nowhere else. pump_count_waiting() proves it */
    uint64_t waiting_bytes;             /* in its outbox, not written yet */
    uint64_t dropped_total;             /* by the pipe's policy, or damaged on disk */
    uint64_t dropped_bytes_total;       /* out of its outbox, without the 4-byte lengths: PUMP_POLICY_DROP_OLDEST */
    int64_t stopped_ns_total;           /* for how long it has stopped the reading, up to now */
    uint64_t acknowledged_total;        /* of those written: pump_acknowledge() */
    uint64_t unacknowledged_records;    /* written whole and retained: written_total - acknowledged_total */
    uint64_t unacknowledged_bytes;      /* of these, lengths included */
    uint64_t redelivered_total;         /* were written and are written once more: pump_redeliver() */
    uint64_t spilled_total;             /* of those dealt, went to the disk */
    uint64_t spilled_records;           /* on disk, not written whole */
    uint64_t spilled_bytes;             /* of those, not written yet, lengths included */
    uint64_t recovered_total;           /* found on disk at the start */
    uint64_t damaged_total;             /* of those spilled: lost on disk */
};

/* What pump_recover() found in a segment. */
struct pump_recovered {
    uint64_t records;
    uint64_t bytes;                     /* lengths included */
    uint64_t cut_bytes;                 /* that hold no whole record, from where it can't be read on */
    int is_damaged;                     /* its header is: what of it was delivered is not known, and all comes again */
};

/* What pump_unread() found: see there. */
struct pump_unread {
    uint64_t records;
    uint64_t bytes;
};

struct pump_config {
    uint32_t pipes;
    uint32_t route;                     /* enum pump_route */
    char key_member[64];                /* of PUMP_ROUTE_KEY: its name as it is spelled in records, and a NUL */
    uint64_t max_frame_bytes;           /* also the longest record */
    uint64_t high_water_bytes;          /* an outbox at this mark stops the reading */
    uint32_t retains;                   /* 1: what is written stays in its outbox until it is acknowledged */
    int wake_fd;                        /* polled for reading, never read */
    uint32_t vectors;                   /* enum pump_vectors: no wider ones, for the tests of each */
    uint32_t layout;                    /* enum pump_layout: layouts.h */
    int64_t stall_ns;                   /* after how long PUMP_STALLED tells */
    int spill_fd;                       /* the folder of PUMP_POLICY_SPILL */
    uint64_t spill_max_bytes;           /* of all its files; 0: there is no such folder */
    uint64_t spill_segment_bytes;       /* of a file, from where on the next is begun */
};

/* Returns a pump, or NULL with errno. */
struct pump *pump_new(const struct pump_config *config);
void pump_free(struct pump *pump);

/* What the pump knows is in one mapping, which outlives the process where this descriptor does: a memfd, the pump's. */
int pump_memory_fd(const struct pump *pump);

/* The pump that another process had there, wherever that was killed, with the same config but for wake_fd, spill_fd, vectors and
 * stall_ns; its padding is zero. It has neither pipes nor session nor readers until it is told: pump_set_pipe(),
 * pump_listen_again(), pump_go_on() or pump_detach(), pump_go_on_reader() and pump_forget_readers(). Takes the descriptor over. Returns NULL with
 * errno, and leaves it to the caller: EINVAL where the mapping is of another version, or is not what a pump leaves. */
struct pump *pump_adopt(int memory_fd, const struct pump_config *config);

/* Forks a child that goes on with the pump until stop_fd is readable or an event is to be told: that comes from the next
 * pump_run() of whoever has the mapping then. Returns its pid, or -1 with errno. Until it has ended, the pump is not to be
 * touched. */
int pump_stand_in(struct pump *pump, int stop_fd);

/* A pump's account: the numbers that another one must know to go on, where its mapping looks otherwise. Of one without a
 * session, and with nothing to deal. */
struct pump_account {
    struct pump_counters counters;
    uint32_t next_pipe;                 /* PUMP_ROUTE_ROUND_ROBIN: whose turn it is */
    uint64_t arrivals_total;            /* pump_newest() */
};
void pump_tell(const struct pump *pump, struct pump_account *account);

/* For a pump that is new. Its pipes follow: pump_take_pipe(). */
void pump_take(struct pump *pump, const struct pump_account *account);

/* Of a pipe. What is spilled stays on disk, and that is told by where. */
struct pump_pipe_account {
    uint64_t dealt_total, written_total, written_bytes_total, dropped_total, dropped_bytes_total, spilled_total;
    uint64_t acknowledged_total, first_record, redelivered_total;
    int64_t stopped_ns_total;
    uint64_t retained_bytes;            /* of frames that were written and not acknowledged */
    uint64_t waiting_bytes;             /* of those behind them, the one that was begun to be written included */
    uint64_t begun_bytes;               /* of that, were written */
    uint64_t front_bytes;               /* of frames that were read back from disk, the one that was begun included */
    uint64_t front_begun_bytes;
    uint64_t spill_records, spill_bytes, spill_written_total, recovered_total, damaged_total;
    uint64_t read_segment, read_offset, read_index, read_first, write_segment, write_offset, write_index;
    uint32_t is_spilled;
};
void pump_tell_pipe(const struct pump *pump, uint32_t pipe, struct pump_pipe_account *account);

/* Its frames: retained_bytes, waiting_bytes, front_bytes. */
void pump_tell_frames(const struct pump *pump, uint32_t pipe, uint8_t *frames);

/* Returns 0, or -1 with errno: EINVAL where that can't be a pipe's account, or there is no room for it. */
int pump_take_pipe(struct pump *pump, uint32_t pipe, const struct pump_pipe_account *account, const uint8_t *frames);

/* The session that an adopted pump had: enum pump_source, and how many there were before it. */
enum pump_source pump_source(const struct pump *pump);
uint64_t pump_sessions_total(const struct pump *pump);

/* A write that the process before was killed in: the number of its pipe, or -1. What of it the pipe took is to be found out with the
 * pipe's read end, which nobody reads meanwhile, before the pump is used in any other way. */
int pump_write_in_flight(const struct pump *pump);
void pump_settle_write(struct pump *pump, int read_fd);

/* The session that it had is on this descriptor. */
void pump_go_on(struct pump *pump, int fd);

/* What a mapping of this version looks like: one with other numbers can't be adopted. */
struct pump_description {
    uint32_t version;
    uint32_t description;               /* a checksum of the structs' text */
    uint32_t pump_bytes, pipe_bytes, spill_bytes;
};
void pump_describe(struct pump_description *description);

/* Gives the pump the write end of a pipe, O_NONBLOCK. */
void pump_set_pipe(struct pump *pump, uint32_t pipe, int fd);
void pump_set_policy(struct pump *pump, uint32_t pipe, enum pump_policy policy);

/* The pump never writes to this pipe again. What waits for it stays and is counted as waiting; what is dealt to it
 * from now on, too. Under PUMP_POLICY_SPILL it goes to the disk, for the next start. */
void pump_close_pipe(struct pump *pump, uint32_t pipe);

/* Takes over a segment that an earlier pump has left in the folder; those of one pipe in their order, before any run.
 * Its records come first. Returns 0, or PUMP_ERR_SPILL with errno, PUMP_ERR_SPILL_VERSION, PUMP_ERR_SPILL_TOO_LONG. */
int pump_recover(struct pump *pump, uint32_t pipe, uint64_t segment, struct pump_recovered *found);

/* Begins a session. The fd must be non-blocking; it stays the caller's. */
void pump_attach(struct pump *pump, enum pump_source source, int fd);

/* Ends the session: no byte is read any more. Records received whole are still dealt, up to a fault or a close
 * frame. */
void pump_detach(struct pump *pump);

/* Whether bytes given with pump_fed(), or left of an ended session, are still to be dealt. No session may begin
 * before that is done. */
int pump_has_input(const struct pump *pump);

/* Ends the session for good. What was received is dealt at once, full pipes or not: outboxes have room for all of
 * it. What is spilled stays on disk, and what waits behind it goes there. From then on pump_run() answers PUMP_PIPE_DRAINED for each pipe and PUMP_DRAINED after the last. */
void pump_drain(struct pump *pump);

/* Works until there is an event (enum pump_event), or an error (enum pump_rc, < 0): of the session, or
 * PUMP_ERR_PIPE. That is of event.pipe; what waits for it stays, and is tried again by every call until the pipe is
 * closed. deadline_ns is CLOCK_MONOTONIC. Never blocks past it, nor past a readable wake-up fd. */
int pump_run(struct pump *pump, int64_t deadline_ns);

/* PUMP_SOURCE_CALLER: where the next bytes go, and how many fit (at least PUMP_ROOM_BYTES unless reading is stopped);
 * then how many were put there. */
uint8_t *pump_room(struct pump *pump, size_t *room_bytes);
void pump_fed(struct pump *pump, size_t bytes);

void pump_detail(const struct pump *pump, struct pump_detail *detail);
void pump_counters(const struct pump *pump, struct pump_counters *counters);
void pump_pipe_counters(const struct pump *pump, uint32_t pipe, struct pump_pipe_counters *counters);

/* Counts the records in a pipe's outbox, frame by frame: a proof of waiting_records. It takes milliseconds where
 * megabytes wait, in which no record is dealt: not for every second. */
uint64_t pump_count_waiting(const struct pump *pump, uint32_t pipe);

/* Readers join while the pump runs. Each has a pipe, and never holds up anything: what it does not take is dropped by
 * its policy, PUMP_POLICY_DROP_OLDEST or PUMP_POLICY_DROP_NEWEST. */
enum { PUMP_READERS_MAX = 64, PUMP_PIPES = 64, PUMP_BACKLOG_MAX_BYTES = 67108864 }; /* a power of two */
struct pump_reader_counters {
    uint64_t offered_total;             /* records of its topics: delivered_total + waiting_records + dropped_total */
    uint64_t delivered_total;           /* written to its pipe whole */
    uint64_t delivered_bytes_total;     /* markers and lengths included, in part too */
    uint64_t dropped_total;
    uint64_t waiting_records;
    uint64_t waiting_bytes;
};

/* fd: the write end of its pipe, O_NONBLOCK, the caller's. backlog_bytes: what may wait for it, PUMP_BACKLOG_MAX_BYTES at
 * most. has_markers: where records
 * are missing, {"ev":"lb","dropped":N} stands in their place. Returns its number, or -1 with errno (ENOSPC: there are
 * PUMP_READERS_MAX; EINVAL). It gets what topics say from then on. */
int pump_add_reader(struct pump *pump, int fd, enum pump_policy policy, int has_markers, uint64_t backlog_bytes);

/* In an adopted pump, a reader that it had goes on, with what waits for it: its pipe is on this descriptor. Returns 0, or -1 with
 * errno: EINVAL where there is none under this number, or it can't be one. One that does already goes on. */
int pump_go_on_reader(struct pump *pump, uint32_t reader, int fd);

/* Forgets those that did not. */
void pump_forget_readers(struct pump *pump);

/* Of a reader; places are bytes behind the first that waits. */
struct pump_reader_state {
    struct pump_reader_counters counters;
    uint64_t begun_bytes;               /* what waits of a frame that was begun to be written */
    uint64_t marker_at;                 /* UINT64_MAX: no marker waits */
    uint64_t marker_records;
    uint64_t gap_records;
    uint32_t is_begun_marker;
    uint32_t policy;
    uint32_t has_markers;
    uint64_t backlog_bytes;
    int fd;                             /* of its pipe */
};

/* Fills *state, and `waiting` with the counters.waiting_bytes that wait. */
void pump_reader_state(const struct pump *pump, uint32_t reader, struct pump_reader_state *state, uint8_t *waiting);

/* As pump_add_reader(), for one that another process had under this number. Returns 0, or -1 with errno: EINVAL where that
 * can't be its state. */
int pump_restore_reader(struct pump *pump, uint32_t reader, const struct pump_reader_state *state, const uint8_t *waiting);

/* Writes what there is room for, and forgets it. */
void pump_remove_reader(struct pump *pump, uint32_t reader);
void pump_reader_counters(const struct pump *pump, uint32_t reader, struct pump_reader_counters *counters);

/* Forgets who wants what; pipes want every record then, or where limits_pipes, none. Returns 0, or -1 with errno. */
int pump_clear_topics(struct pump *pump, int limits_pipes);

/* A reader, or PUMP_PIPES, wants the records of a kind and a key, as its layout tells them; NULL: of any. Returns 0, or -1
 * with errno. */
int pump_add_topic(struct pump *pump, uint32_t who, const uint8_t *kind, size_t kind_bytes, const uint8_t *key,
                   size_t key_bytes);

/* Records that only the exact scanner could cut, the first of each kind. Fills *sample and returns 1, or 0 where
 * there are fewer than index + 1. */
enum { PUMP_SAMPLES_MAX = 16, PUMP_SAMPLE_BYTES = 120 };
struct pump_sample {
    uint64_t kind_hash;
    size_t length;
    uint8_t bytes[120];
};
int pump_sample(const struct pump *pump, uint32_t index, struct pump_sample *sample);

/* Records as they came, with the time of the read that brought them (CLOCK_MONOTONIC): one every 20 ms at most, and the
 * first of each session. Kept are the newest PUMP_ARRIVALS, numbered from 0 on in the order they came. */
enum { PUMP_ARRIVALS = 128, PUMP_ARRIVAL_BYTES = 240 };
struct pump_arrival {
    uint64_t number;
    int64_t received_ns;
    size_t length;                      /* of the record, at most PUMP_ARRIVAL_BYTES: its rest is left out */
    uint8_t bytes[240];
};

/* Fills *arrival with the oldest one that is kept and has at least this number. Returns 1, or 0 where there is none. */
int pump_arrival(const struct pump *pump, uint64_t least_number, struct pump_arrival *arrival);

/* Fills *arrival with a record of the newest read that brought any, kept or not; its number is the one that the next
 * to be kept will have. Returns 1, or 0 where no record has come yet. */
int pump_newest(const struct pump *pump, struct pump_arrival *arrival);

/* A reader of this pipe has died and may have taken part of a record. Drops the rest of that record from the pipe's
 * read end, so that the next reader begins with a frame. A record of which the pipe holds no further byte is sent
 * again whole. Returns the number of bytes dropped, or PUMP_ERR_PIPE with errno. */
int64_t pump_realign(struct pump *pump, uint32_t pipe, int read_fd);

/* Where the pump retains: the reader has finished so many records of this pipe, those of its predecessors included;
 * a number that was told before changes nothing. Returns 0, or PUMP_ERR_ACKNOWLEDGED where so many were not written:
 * then nothing is changed. */
int pump_acknowledge(struct pump *pump, uint32_t pipe, uint64_t records_total);

/* Where the pump retains: a reader begins with the pipe's first unacknowledged record. What it acknowledges on a socket of
 * its own (AF_UNIX, SOCK_SEQPACKET), in packets "ACK READER_FD RECORDS", is also taken there whenever the outbox needs
 * room; all else is left to the caller. channel_fd -1: no more. */
void pump_listen(struct pump *pump, uint32_t pipe, int channel_fd, int reader_fd);

/* The same for a reader that was there before the pump was adopted. */
void pump_listen_again(struct pump *pump, uint32_t pipe, int channel_fd, int reader_fd);

/* Where the pump retains: the reader of this pipe has died. Empties the pipe, and all that was not acknowledged waits
 * again, so that the next reader begins with the first record of it. Not for a pipe whose end was told. Returns how
 * many records are to be written once more, or PUMP_ERR_PIPE with errno. */
int64_t pump_redeliver(struct pump *pump, uint32_t pipe, int read_fd);

/* Reads a pipe that has no reader any more to its end, and counts what nobody took: the records that were written
 * whole and not read whole, and their bytes, lengths included, as far as they were not read. Blocks never, whatever
 * the flags of read_fd. A record written in part is waiting, with all its bytes: no part of it is counted here, and
 * should the pipe go on, it is sent again whole. So written_total = read whole by somebody + unread.records, and a
 * record is waiting or unread, never both. Returns 0, or PUMP_ERR_PIPE with errno. */
int pump_unread(struct pump *pump, uint32_t pipe, int read_fd, struct pump_unread *unread);
/* cffi: end */

#endif

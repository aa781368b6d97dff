/* Readers: programs that join a pump that runs, each with a pipe and topics of its own. Readers never hold up anything.
 *
 * Law: what is known of them is in the mapping, and their rings are in its file, for another process to go on with them; topics,
 * and what points to something, are this process's. All that is used only while there are readers, or while pipes want less
 * than all: a pump without them deals as if they did not exist. */
#ifndef READERS_H
#define READERS_H

#include "pump_state.h"
#include "reader.h"
#include "topics.h"

/* In the file, behind the mapping: they are mapped apart from it. Most of it is never touched. */
#define READERS_RINGS_BYTES ((uint64_t)PUMP_READERS_MAX * PUMP_BACKLOG_MAX_BYTES)

struct readers {
    uint64_t left;     /* a bit for each that another process had and that does not go on yet */
    uint64_t attached; /* a bit for each that goes on; this and the next two */
    uint64_t waiting;  /* something waits */
    uint64_t gone;     /* nobody reads any more, and that is still to be told */
    uint64_t staged_bytes; /* offered since the last flush */
    int64_t written_ns; /* when all was last written, as far as there was room */
    int64_t looked_ns;
    int epoll_fd;      /* readable when a full pipe has room, or a pipe's other end is closed */
    uint8_t is_used;   /* whether anything of this means anything */
    uint8_t limits_pipes;
    struct topics topics;
    uint8_t scratch[FLAT_MAX_BYTES + DEAL_PAD_BYTES]; /* for records that no pipe wants */
    struct reader reader[PUMP_READERS_MAX];
};

/* Writes what waits and is much, or has waited long enough, and looks from time to time whether full pipes have room. */
void readers_flush(struct readers *readers, int64_t at_ns);

/* Writes all that waits, as far as there is room: before a sleep. */
void readers_flush_all(struct readers *readers);

/* Whether something waits that there may be room for. */
int readers_hold(const struct readers *readers);

/* Obeys what epoll_fd tells. */
void readers_look(struct readers *readers);

/* PUMP_READER_GONE with detail.pipe, or 0. */
int readers_event(struct pump *pump);

/* Forgets this process's part of them. */
void readers_unmap(struct pump *pump);

/* Of those that another process had, only which there are is known from then on: pump_go_on_reader(). Returns 0, or -1 with
 * errno. */
int readers_adopt(struct pump *pump);

/* Offers a record to the readers of these bits. Reads READER_COPY_BYTES behind it at most. */
static inline __attribute__((always_inline)) void
readers_offer(struct readers *readers, uint64_t bits, const uint8_t *record, size_t length)
{
    bits &= readers->attached;
    readers->waiting |= bits;
    for (; bits; bits &= bits - 1) {
        reader_offer(&readers->reader[__builtin_ctzll(bits)], record, length);
        readers->staged_bytes += length;
    }
}

#endif

/* Records on their way to Kafka: cut out of frames, handed to librdkafka with topic, key and headers, and counted until they are there.
 *
 * Law: taken = acknowledged + waiting + failed, at any moment. No record is passed over: where there is no room, the caller learns how far it
 * got. Not for two threads at a time, and not for a forked process. */
#ifndef OUTBOX_H
#define OUTBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
enum outbox_limit {
    OUTBOX_TEXT_BYTES = 512,
    OUTBOX_NAME_BYTES = 16, /* of an event, with the zero behind it */
    OUTBOX_SOURCE_BYTES = 64,
    OUTBOX_EVENTS_MAX = 64, /* those beyond count as the one without a name */
    OUTBOX_PIPES_MAX = 1024,
    OUTBOX_BATCHES = 65536  /* closed and not acknowledged yet, at most */
};

enum outbox_rc {
    OUTBOX_DONE = 0,
    OUTBOX_FULL = 1,
    OUTBOX_ERR_FAULT = -1 /* in `text` */
};

struct outbox_event {
    char name[OUTBOX_NAME_BYTES];
    uint64_t records_total;
    uint32_t topic;
};

struct outbox_counters {
    uint64_t taken_total, acknowledged_total, failed_total, waiting_records; /* records */
    uint64_t messages_total, acknowledged_messages_total, waiting_messages;
    uint64_t batches_closed, batches_done; /* a batch is done when it and all before it are acknowledged, or failed for good */
    uint64_t errors_total;
    uint32_t events;
    int32_t error;   /* the newest of librdkafka's, which it goes on from by itself */
    int32_t failure; /* the newest of a record */
    int32_t fatal;   /* the first that no record is to blame for, and no waiting mends; 0: there is none */
    char error_text[OUTBOX_TEXT_BYTES];
    char fatal_text[OUTBOX_TEXT_BYTES];
};

struct outbox_taken {
    size_t consumed_bytes;
    uint32_t records;
    size_t newest_offset, newest_bytes; /* of the last record */
};

struct outbox;

/* With the librdkafka that is this file. Returns null with the reason in the text, which has OUTBOX_TEXT_BYTES. */
struct outbox *outbox_new(const char *library, char *text);

/* One of librdkafka's own settings, before outbox_start(). Returns OUTBOX_DONE or OUTBOX_ERR_FAULT. */
int outbox_set(struct outbox *outbox, const char *name, const char *value, char *text);

/* `window_records` 0: each record is a message. Else those of one pipe, topic and key are one, with line feeds between them, as many as come
 * until outbox_flush(), but for no more than `message_bytes`. */
int outbox_start(struct outbox *outbox, uint32_t window_records, size_t window_bytes, size_t message_bytes, char *text);

/* Records of this event go to that topic; of the event "" all those that have no topic of their own. */
int outbox_route(struct outbox *outbox, const char *event, const char *topic, char *text);

/* A pipe of records whose first has this number; `source` begins the header that tells numbers. */
int outbox_pipe(struct outbox *outbox, const char *source, uint64_t first_number);

/* Takes whole frames, as many as there are and there is room for. Returns OUTBOX_DONE, or OUTBOX_FULL: poll, and come again with the rest. */
int outbox_take(struct outbox *outbox, int pipe, const uint8_t *frames, size_t bytes, struct outbox_taken *taken);

/* Hands over what was kept to be packed. Returns as outbox_take(). */
int outbox_flush(struct outbox *outbox);

/* What was taken since the last one is a batch. Nothing may be kept to be packed. Returns OUTBOX_FULL where there are too many. */
int outbox_close_batch(struct outbox *outbox);

/* Hears what has become of messages; waits so many ms for it at most. */
void outbox_poll(struct outbox *outbox, int timeout_ms);

const struct outbox_counters *outbox_counters(const struct outbox *outbox);
const struct outbox_event *outbox_event(const struct outbox *outbox, uint32_t event);
const char *outbox_error_name(const struct outbox *outbox, int code);

/* What is not acknowledged by now is given up. */
void outbox_free(struct outbox *outbox);
/* cffi: end */

#endif

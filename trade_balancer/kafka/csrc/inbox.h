/* A member of a group that reads topics: what it gets goes into frames, and from there into a pipe.
 *
 * Law: whoever reads decides when partitions are taken and given away: librdkafka waits for the answer. Not for two threads at a time, and not for
 * a forked process. */
#ifndef INBOX_H
#define INBOX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* cffi: begin */
enum inbox_limit {
    INBOX_TEXT_BYTES = 512,
    INBOX_SAMPLE_BYTES = 4096
};

enum inbox_rc {
    INBOX_DONE = 0,
    INBOX_ERR_FAULT = -1 /* in `text` */
};

/* What the group asks for. */
enum inbox_question {
    INBOX_NOTHING,
    INBOX_TAKE, /* `asked` is to be taken */
    INBOX_GIVE, /* `asked` is to be given away: others wait for it */
    INBOX_LOST  /* `asked` was given to others already */
};

struct inbox_place {
    const char *topic;
    int32_t partition;
    int64_t next; /* offset behind the last message that was read since it was taken; -1: none was, or it is others' */
    int64_t end;  /* of what is there, as far as was heard; -1: nothing was */
};

/* One message of a read, any of them. */
struct inbox_sample {
    uint32_t messages;   /* that it was chosen of; 0: there is none */
    int64_t time_ms;     /* the message's */
    int time_kind;       /* 1: its writer's; 2: the broker's */
    size_t told_bytes, record_bytes;
    char told[32];       /* the header `producerTime` */
    uint8_t record[INBOX_SAMPLE_BYTES]; /* the first; nothing of a larger one */
};

/* The client goes on from an error by itself, unless it is fatal. */
struct inbox_state {
    uint64_t records_total, again_total; /* read; and those that had been there already */
    size_t waiting_bytes;                /* of frames, not in the pipe yet */
    enum inbox_question question;
    const struct inbox_place *asked;
    uint32_t asked_count;
    const struct inbox_place *places; /* those that messages have come from, each once */
    uint32_t place_count;
    struct inbox_sample sample;
    uint64_t errors_total;
    int32_t error; /* the newest */
    int is_fatal;
    char error_text[INBOX_TEXT_BYTES];
};

struct inbox;

/* With the librdkafka that is this file. Returns null with the reason in the text, which has INBOX_TEXT_BYTES. */
struct inbox *inbox_new(const char *library, char *text);

/* One of librdkafka's own settings, before inbox_start(). */
int inbox_set(struct inbox *inbox, const char *name, const char *value, char *text);
int inbox_start(struct inbox *inbox, char *text);

/* One more of the topics, before inbox_join(). */
void inbox_topic(struct inbox *inbox, const char *topic);
int inbox_join(struct inbox *inbox, char *text);

/* Reads what has come, until there are so many bytes of frames, or the group asks for something; waits so many ms at most for the first. */
void inbox_read(struct inbox *inbox, int timeout_ms, size_t bytes);

/* The group's question is answered: partitions are taken, or given away. Messages of those that are given away do not come any more. */
void inbox_answer(struct inbox *inbox);

/* Into the pipe, as much as goes in. Returns how many bytes went, or -errno. */
ssize_t inbox_move(struct inbox *inbox, int fd);

/* All that is held gives nothing more, or goes on. */
void inbox_pause(struct inbox *inbox, int is_paused);

/* The next who gets the partition is to begin at this offset; said to the brokers before long, or at inbox_commit(). */
void inbox_finish(struct inbox *inbox, const char *topic, int32_t partition, int64_t next);

/* Returns librdkafka's error, 0 where there is none or nothing to say. */
int inbox_commit(struct inbox *inbox);

/* How far the places have got. */
void inbox_look(struct inbox *inbox);

const struct inbox_state *inbox_state(const struct inbox *inbox);
const char *inbox_error_name(const struct inbox *inbox, int code);

/* Leaves the group. What is not committed comes again. */
void inbox_free(struct inbox *inbox);
/* cffi: end */

#endif

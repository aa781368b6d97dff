#include "inbox.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rdkafka.h"
#include "unpack.h"

enum { BATCH_MESSAGES = 500 }; /* more would leave the processor's cache */

/* What is kept of a place beside what is told of it. */
struct seen {
    const void *topic; /* librdkafka's; null: look for it by its name */
    struct highest highest;
};

struct inbox {
    struct rdkafka rd;
    void *conf, *client, *queue;
    struct rd_kafka_topic_partition_list *topics;
    struct inbox_state state;
    struct inbox_place *places;
    struct seen *seen;
    uint32_t newest; /* the place of the last message */
    struct rd_kafka_topic_partition_list *asked;
    struct inbox_place *asked_places;
    struct frames frames;
    size_t moved_bytes; /* of the frames */
    uint32_t chance;    /* xorshift; not 0 */
    bool is_paused, is_closing;
};

struct inbox *inbox_new(const char *library, char *text)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL || rdkafka_find(&inbox->rd, library, text, INBOX_TEXT_BYTES) < 0) {
        free(inbox);
        return NULL;
    }
    inbox->chance = 1;
    inbox->conf = inbox->rd.conf_new();
    inbox->topics = inbox->rd.topic_partition_list_new(1);
    return inbox;
}

int inbox_set(struct inbox *inbox, const char *name, const char *value, char *text)
{
    return inbox->rd.conf_set(inbox->conf, name, value, text, INBOX_TEXT_BYTES) == RD_KAFKA_CONF_OK ? INBOX_DONE : INBOX_ERR_FAULT;
}

static void note_error(struct inbox *inbox, int error, const char *text)
{
    inbox->state.errors_total++;
    if (inbox->state.is_fatal)
        return;
    inbox->state.error = error;
    snprintf(inbox->state.error_text, INBOX_TEXT_BYTES, "%s", text);
}

static void end_all(struct inbox *inbox, int error, const char *text)
{
    note_error(inbox, error, text);
    inbox->state.is_fatal = true;
}

static void hear_error(void *client, int error, const char *text, void *opaque)
{
    struct inbox *inbox = opaque;
    char reason[INBOX_TEXT_BYTES] = "";
    if (error == RD_KAFKA_ERR_FATAL)
        end_all(inbox, inbox->rd.fatal_error(client, reason, sizeof reason), reason);
    else
        note_error(inbox, error, text);
}

static bool is_cooperative(const struct inbox *inbox)
{
    const char *protocol = inbox->rd.rebalance_protocol(inbox->client);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0; /* null: the group was left already */
}

static void take_or_give(struct inbox *inbox, bool is_taking, const struct rd_kafka_topic_partition_list *list)
{
    void *error = NULL;
    if (is_cooperative(inbox))
        error = (is_taking ? inbox->rd.incremental_assign : inbox->rd.incremental_unassign)(inbox->client, list);
    else
        inbox->rd.assign(inbox->client, is_taking ? list : NULL);
    if (error) {
        const int code = inbox->rd.error_code(error);
        note_error(inbox, code, inbox->rd.err2str(code));
        inbox->rd.error_destroy(error);
    }
}

/* Called by librdkafka within inbox_read() or inbox_free(). It waits until inbox_answer(). */
static void hear_question(void *client, int code, struct rd_kafka_topic_partition_list *list, void *opaque)
{
    struct inbox *inbox = opaque;
    const bool is_taking = code == RD_KAFKA_ERR_ASSIGN_PARTITIONS;
    struct inbox_place *places = calloc((size_t)list->cnt + 1, sizeof *places);
    struct rd_kafka_topic_partition_list *asked = inbox->rd.topic_partition_list_copy(list);
    if (inbox->is_closing || !places || !asked) { /* nobody is there to ask; the group takes either for giving away then */
        take_or_give(inbox, is_taking, list);
        if (asked)
            inbox->rd.topic_partition_list_destroy(asked);
        free(places);
        return;
    }
    inbox->asked = asked;
    for (int i = 0; i < asked->cnt; i++)
        places[i] = (struct inbox_place){asked->elems[i].topic, asked->elems[i].partition, -1, -1};
    inbox->state.asked = inbox->asked_places = places;
    inbox->state.asked_count = (uint32_t)asked->cnt;
    inbox->state.question = is_taking ? INBOX_TAKE : inbox->rd.assignment_lost(client) ? INBOX_LOST : INBOX_GIVE;
}

int inbox_start(struct inbox *inbox, char *text)
{
    inbox->rd.conf_set_opaque(inbox->conf, inbox);
    inbox->rd.conf_set_rebalance_cb(inbox->conf, hear_question);
    inbox->rd.conf_set_error_cb(inbox->conf, hear_error);
    inbox->client = inbox->rd.new(RD_KAFKA_CONSUMER, inbox->conf, text, INBOX_TEXT_BYTES);
    if (inbox->client == NULL)
        return INBOX_ERR_FAULT;
    inbox->conf = NULL; /* it is the client's now */
    inbox->rd.poll_set_consumer(inbox->client);
    inbox->queue = inbox->rd.queue_get_consumer(inbox->client);
    return INBOX_DONE;
}

void inbox_topic(struct inbox *inbox, const char *topic)
{
    inbox->rd.topic_partition_list_add(inbox->topics, topic, RD_KAFKA_PARTITION_UA);
}

int inbox_join(struct inbox *inbox, char *text)
{
    const int code = inbox->rd.subscribe(inbox->client, inbox->topics);
    if (code)
        snprintf(text, INBOX_TEXT_BYTES, "%s", inbox->rd.err2str(code));
    return code ? INBOX_ERR_FAULT : INBOX_DONE;
}

/* What no waiting mends. */
static bool is_the_end(int error)
{
    return error == RD_KAFKA_ERR_TOPIC_AUTHORIZATION_FAILED || error == RD_KAFKA_ERR_GROUP_AUTHORIZATION_FAILED ||
           error == RD_KAFKA_ERR_TOPIC_EXCEPTION;
}

static bool is_of(const struct inbox *inbox, uint32_t place, const struct rd_kafka_message *message)
{
    return place < inbox->state.place_count && inbox->seen[place].topic == message->rkt && inbox->places[place].partition == message->partition;
}

/* Returns the place, or the number of places where it is none of them. */
static uint32_t place_called(const struct inbox *inbox, const char *topic, int32_t partition)
{
    uint32_t i = 0;
    while (i < inbox->state.place_count && (inbox->places[i].partition != partition || strcmp(inbox->places[i].topic, topic) != 0))
        i++;
    return i;
}

static bool add_place(struct inbox *inbox, const char *topic, int32_t partition)
{
    const size_t count = inbox->state.place_count + (size_t)1;
    struct inbox_place *places = realloc(inbox->places, count * sizeof *places);
    if (places)
        inbox->state.places = inbox->places = places;
    struct seen *seen = realloc(inbox->seen, count * sizeof *seen);
    if (seen)
        inbox->seen = seen;
    char *name = strdup(topic);
    if (!places || !seen || !name) {
        free(name);
        return false;
    }
    places[count - 1] = (struct inbox_place){name, partition, -1, -1};
    seen[count - 1] = (struct seen){0};
    inbox->state.place_count++;
    return true;
}

/* Returns false for want of memory. */
static bool find_place(struct inbox *inbox, const struct rd_kafka_message *message)
{
    if (is_of(inbox, inbox->newest, message))
        return true;
    const char *topic = inbox->rd.topic_name(message->rkt);
    const uint32_t place = place_called(inbox, topic, message->partition);
    if (place == inbox->state.place_count && !add_place(inbox, topic, message->partition))
        return false;
    inbox->seen[place].topic = message->rkt;
    inbox->newest = place;
    return true;
}

/* Each message of a read is as likely to be the one that is left. */
static bool is_chosen(struct inbox *inbox)
{
    inbox->chance ^= inbox->chance << 13;
    inbox->chance ^= inbox->chance >> 17;
    inbox->chance ^= inbox->chance << 5;
    return inbox->chance % ++inbox->state.sample.messages == 0;
}

static void keep_sample(struct inbox *inbox, const struct rd_kafka_message *of, const void *headers)
{
    struct inbox_sample *sample = &inbox->state.sample;
    const void *told = NULL;
    size_t told_bytes = 0;
    const uint8_t *end = memchr(of->payload, '\n', of->len);
    const size_t bytes = end ? (size_t)(end - (const uint8_t *)of->payload) : of->len;
    sample->time_ms = inbox->rd.message_timestamp(of, &sample->time_kind);
    if (!headers || inbox->rd.header_get_last(headers, "producerTime", &told, &told_bytes) || told_bytes > sizeof sample->told)
        told_bytes = 0;
    if (told_bytes)
        memcpy(sample->told, told, told_bytes);
    sample->told_bytes = told_bytes;
    sample->record_bytes = bytes <= sizeof sample->record ? bytes : 0;
    memcpy(sample->record, of->payload, sample->record_bytes);
}

static void take_message(struct inbox *inbox, const struct rd_kafka_message *of)
{
    void *headers = NULL;
    const void *told = NULL;
    struct message message = {.value = of->payload, .value_bytes = of->len, .key = of->key ? of->key : (void *)"", .key_bytes = of->key_len};
    if (of->err) { /* of one partition, or the group; the client's own are heard elsewhere */
        (is_the_end(of->err) ? end_all : note_error)(inbox, of->err, of->payload ? of->payload : inbox->rd.err2str(of->err));
        return;
    }
    if (inbox->rd.message_headers(of, &headers) == RD_KAFKA_ERR_NO_ERROR &&
        inbox->rd.header_get_last(headers, "lb", &told, &message.told_bytes) == RD_KAFKA_ERR_NO_ERROR)
        message.told = told;
    if (of->payload && is_chosen(inbox))
        keep_sample(inbox, of, headers);
    if (!find_place(inbox, of) || unpack(&inbox->frames, &inbox->seen[inbox->newest].highest, &message) < 0) {
        end_all(inbox, ENOMEM, "no memory for what was read");
        return;
    }
    inbox->places[inbox->newest].next = of->offset + 1;
}

/* Returns how many messages came. */
static size_t read_batch(struct inbox *inbox, int timeout_ms, size_t most)
{
    struct rd_kafka_message *messages[BATCH_MESSAGES];
    const ssize_t count = inbox->rd.consume_batch_queue(inbox->queue, timeout_ms, messages, most);
    for (ssize_t i = 0; i < count; i++) {
        if (!inbox->state.is_fatal)
            take_message(inbox, messages[i]);
        inbox->rd.message_destroy(messages[i]);
    }
    return count > 0 ? (size_t)count : 0;
}

static void note_frames(struct inbox *inbox)
{
    inbox->state.records_total = inbox->frames.records_total;
    inbox->state.again_total = inbox->frames.again_total;
    inbox->state.waiting_bytes = inbox->frames.count - inbox->moved_bytes;
}

void inbox_read(struct inbox *inbox, int timeout_ms, size_t bytes)
{
    inbox->state.sample.messages = 0;
    /* One alone is waited for: librdkafka would wait for the whole batch. */
    size_t count = read_batch(inbox, timeout_ms, 1);
    while (count && inbox->state.question == INBOX_NOTHING && inbox->frames.count - inbox->moved_bytes < bytes)
        count = read_batch(inbox, 0, BATCH_MESSAGES);
    note_frames(inbox);
}

void inbox_answer(struct inbox *inbox)
{
    if (inbox->state.question == INBOX_NOTHING)
        return;
    const bool is_taking = inbox->state.question == INBOX_TAKE;
    for (uint32_t i = 0; i < inbox->state.place_count; i++)
        inbox->seen[i].topic = NULL; /* it may be gone, and another be where it was */
    for (int i = 0; i < inbox->asked->cnt; i++) {
        const uint32_t place = place_called(inbox, inbox->asked->elems[i].topic, inbox->asked->elems[i].partition);
        if (place == inbox->state.place_count)
            continue;
        /* Others go on with it, or it is read anew, from where they have got to or we had: what was seen of it says nothing any more. */
        highest_forget(&inbox->seen[place].highest);
        inbox->places[place].next = -1;
    }
    take_or_give(inbox, is_taking, inbox->asked);
    if (is_taking && inbox->is_paused)
        inbox->rd.pause_partitions(inbox->client, inbox->asked);
    inbox->rd.topic_partition_list_destroy(inbox->asked);
    free(inbox->asked_places);
    inbox->asked = NULL;
    inbox->state.asked = inbox->asked_places = NULL;
    inbox->state.asked_count = 0;
    inbox->state.question = INBOX_NOTHING;
}

ssize_t inbox_move(struct inbox *inbox, int fd)
{
    struct frames *frames = &inbox->frames;
    ssize_t moved = 0;
    if (inbox->moved_bytes < frames->count)
        moved = write(fd, frames->bytes + inbox->moved_bytes, frames->count - inbox->moved_bytes);
    if (moved < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    inbox->moved_bytes += (size_t)moved;
    if (inbox->moved_bytes == frames->count)
        inbox->moved_bytes = frames->count = 0;
    note_frames(inbox);
    return moved;
}

void inbox_pause(struct inbox *inbox, int is_paused)
{
    struct rd_kafka_topic_partition_list *held;
    inbox->is_paused = is_paused;
    if (inbox->rd.assignment(inbox->client, &held))
        return;
    (is_paused ? inbox->rd.pause_partitions : inbox->rd.resume_partitions)(inbox->client, held);
    inbox->rd.topic_partition_list_destroy(held);
}

void inbox_finish(struct inbox *inbox, const char *topic, int32_t partition, int64_t next)
{
    struct rd_kafka_topic_partition_list *list = inbox->rd.topic_partition_list_new(1);
    inbox->rd.topic_partition_list_add(list, topic, partition)->offset = next;
    inbox->rd.offsets_store(inbox->client, list); /* one that is not ours any more is refused, and is others' to say */
    inbox->rd.topic_partition_list_destroy(list);
}

int inbox_commit(struct inbox *inbox)
{
    const int code = inbox->rd.commit(inbox->client, NULL, 0);
    return code == RD_KAFKA_ERR_NO_OFFSET ? 0 : code;
}

void inbox_look(struct inbox *inbox)
{
    int64_t low, high;
    for (uint32_t i = 0; i < inbox->state.place_count; i++)
        if (inbox->rd.get_watermark_offsets(inbox->client, inbox->places[i].topic, inbox->places[i].partition, &low, &high) == 0 && high >= 0)
            inbox->places[i].end = high;
}

const struct inbox_state *inbox_state(const struct inbox *inbox)
{
    return &inbox->state;
}

const char *inbox_error_name(const struct inbox *inbox, int code)
{
    return inbox->rd.err2str(code);
}

void inbox_free(struct inbox *inbox)
{
    inbox->is_closing = true;
    inbox_answer(inbox);
    if (inbox->client) {
        inbox->rd.consumer_close(inbox->client);
        inbox->rd.queue_destroy(inbox->queue);
        inbox->rd.destroy(inbox->client);
    }
    if (inbox->conf)
        inbox->rd.conf_destroy(inbox->conf);
    inbox->rd.topic_partition_list_destroy(inbox->topics);
    for (uint32_t i = 0; i < inbox->state.place_count; i++) {
        free((char *)(uintptr_t)inbox->places[i].topic);
        highest_close(&inbox->seen[i].highest);
    }
    free(inbox->places);
    free(inbox->seen);
    free(inbox->frames.bytes);
    free(inbox);
}

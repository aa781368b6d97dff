#include "outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rdkafka.h"
#include "subject.h"
#include "window.h"

enum {
    LENGTH_BYTES = 4,
    TOPICS_MAX = 64,
    DIGITS_MAX = 20,
    COUNT_SHIFT = 32 /* a message's opaque value: its batch below, the number of its records above */
};

_Static_assert(sizeof(void *) == sizeof(uint64_t), "an opaque value has room for a batch and a number of records");

struct pipe {
    char source[OUTBOX_SOURCE_BYTES];
    size_t source_bytes;
    uint64_t next_number;
};

struct topic {
    char *name;
    void *handle;
};

struct now {
    int64_t ms;
    char text[DIGITS_MAX + 1]; /* ns since 1970 */
    size_t text_bytes;
};

struct outbox {
    struct rdkafka rd;
    void *conf, *client, *queue;
    struct outbox_counters counters;
    struct topic topics[TOPICS_MAX];
    uint32_t topic_count;
    struct outbox_event events[OUTBOX_EVENTS_MAX];
    uint32_t newest_event; /* the one that the last record was of */
    struct pipe *pipes;
    int pipe_count;
    uint32_t *outstanding; /* records, by batch */
    bool is_packing, is_flushing;
    struct window window;
    size_t message_bytes;
    struct now packed_since;
    uint8_t *value; /* of a packed message */
    char *numbers;
    size_t numbers_room;
};

struct outbox *outbox_new(const char *library, char *text)
{
    struct outbox *outbox = calloc(1, sizeof *outbox);
    if (outbox == NULL || rdkafka_find(&outbox->rd, library, text, OUTBOX_TEXT_BYTES) < 0) {
        free(outbox);
        return NULL;
    }
    outbox->conf = outbox->rd.conf_new();
    outbox->outstanding = calloc(OUTBOX_BATCHES, sizeof *outbox->outstanding);
    outbox->counters.events = 1; /* the one without a name */
    return outbox;
}

int outbox_set(struct outbox *outbox, const char *name, const char *value, char *text)
{
    return outbox->rd.conf_set(outbox->conf, name, value, text, OUTBOX_TEXT_BYTES) == RD_KAFKA_CONF_OK ? OUTBOX_DONE : OUTBOX_ERR_FAULT;
}

int outbox_start(struct outbox *outbox, uint32_t window_records, size_t window_bytes, size_t message_bytes, char *text)
{
    outbox->is_packing = window_records > 0;
    outbox->message_bytes = message_bytes;
    if (outbox->is_packing) {
        outbox->value = malloc(message_bytes);
        if (window_open(&outbox->window, window_records, window_bytes) < 0 || outbox->value == NULL) {
            snprintf(text, OUTBOX_TEXT_BYTES, "no memory to pack records in");
            return OUTBOX_ERR_FAULT;
        }
    }
    outbox->rd.conf_set_events(outbox->conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    outbox->client = outbox->rd.new(RD_KAFKA_PRODUCER, outbox->conf, text, OUTBOX_TEXT_BYTES);
    if (outbox->client == NULL)
        return OUTBOX_ERR_FAULT;
    outbox->conf = NULL; /* it is the client's now */
    outbox->queue = outbox->rd.queue_get_main(outbox->client);
    return OUTBOX_DONE;
}

static int topic_called(struct outbox *outbox, const char *name)
{
    for (uint32_t i = 0; i < outbox->topic_count; i++)
        if (strcmp(outbox->topics[i].name, name) == 0)
            return (int)i;
    if (outbox->topic_count == TOPICS_MAX)
        return -1;
    struct topic topic = {strdup(name), outbox->rd.topic_new(outbox->client, name, NULL)};
    if (topic.name == NULL || topic.handle == NULL) {
        free(topic.name);
        return -1;
    }
    outbox->topics[outbox->topic_count] = topic;
    return (int)outbox->topic_count++;
}

int outbox_route(struct outbox *outbox, const char *event, const char *topic, char *text)
{
    const int found = topic_called(outbox, topic);
    const uint32_t place = *event ? outbox->counters.events : 0;
    if (found < 0 || place == OUTBOX_EVENTS_MAX || strlen(event) >= OUTBOX_NAME_BYTES) {
        snprintf(text, OUTBOX_TEXT_BYTES, "%s: no topic of that name can be written, or there are too many", topic);
        return OUTBOX_ERR_FAULT;
    }
    strcpy(outbox->events[place].name, event);
    outbox->events[place].topic = (uint32_t)found;
    outbox->counters.events += place > 0;
    return OUTBOX_DONE;
}

int outbox_pipe(struct outbox *outbox, const char *source, uint64_t first_number)
{
    const size_t source_bytes = strlen(source);
    if (source_bytes >= OUTBOX_SOURCE_BYTES || outbox->pipe_count == OUTBOX_PIPES_MAX)
        return OUTBOX_ERR_FAULT;
    struct pipe *pipes = realloc(outbox->pipes, ((size_t)outbox->pipe_count + 1) * sizeof *pipes);
    if (pipes == NULL)
        return OUTBOX_ERR_FAULT;
    outbox->pipes = pipes;
    struct pipe *pipe = &pipes[outbox->pipe_count];
    memcpy(pipe->source, source, source_bytes);
    pipe->source_bytes = source_bytes;
    pipe->next_number = first_number;
    return outbox->pipe_count++;
}

static struct now now(void)
{
    struct timespec clock;
    clock_gettime(CLOCK_REALTIME, &clock);
    struct now now = {.ms = (int64_t)clock.tv_sec * 1000 + clock.tv_nsec / 1000000};
    now.text_bytes = (size_t)snprintf(now.text, sizeof now.text, "%lld%09ld", (long long)clock.tv_sec, clock.tv_nsec);
    return now;
}

static size_t put_number(char *to, uint64_t number)
{
    char digits[DIGITS_MAX];
    size_t count = 0;
    do
        digits[DIGITS_MAX - ++count] = (char)('0' + number % 10);
    while (number /= 10);
    memcpy(to, digits + DIGITS_MAX - count, count);
    return count;
}

static bool is_of_the_record(int error)
{
    return error == RD_KAFKA_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_ERR_INVALID_MSG_SIZE || error == RD_KAFKA_ERR_INVALID_RECORD;
}

static void note_fatal(struct outbox *outbox, int error, const char *text)
{
    if (outbox->counters.fatal)
        return;
    outbox->counters.fatal = error;
    snprintf(outbox->counters.fatal_text, OUTBOX_TEXT_BYTES, "%s", text);
}

/* So many records are not there, and will not be. Where they are to blame themselves, they are finished all the same. */
static void note_failure(struct outbox *outbox, int error, uint32_t batch, uint32_t count)
{
    outbox->counters.failed_total += count;
    outbox->counters.waiting_records -= count;
    outbox->counters.waiting_messages--;
    outbox->counters.failure = error;
    if (is_of_the_record(error))
        outbox->outstanding[batch % OUTBOX_BATCHES] -= count;
    else
        note_fatal(outbox, error, outbox->rd.err2str(error));
}

struct message {
    uint32_t topic, count;
    const uint8_t *key;
    size_t key_bytes;
    const uint8_t *value;
    size_t value_bytes;
    const char *numbers;
    size_t numbers_bytes;
};

/* Returns OUTBOX_DONE, also where librdkafka refuses the message for good, or OUTBOX_FULL. The records wait already, by the counters. */
static int hand_over(struct outbox *outbox, const struct message *message, const struct now *now)
{
    const uint32_t batch = (uint32_t)outbox->counters.batches_closed;
    const uint64_t opaque = (uint64_t)message->count << COUNT_SHIFT | batch;
    const struct rd_kafka_vu vus[] = {
        {RD_KAFKA_VTYPE_RKT, {.ptr = outbox->topics[message->topic].handle}},
        {RD_KAFKA_VTYPE_MSGFLAGS, {.i = RD_KAFKA_MSG_F_COPY}},
        {RD_KAFKA_VTYPE_VALUE, {.mem = {(void *)(uintptr_t)message->value, message->value_bytes}}},
        {RD_KAFKA_VTYPE_KEY, {.mem = {message->key_bytes ? (void *)(uintptr_t)message->key : NULL, message->key_bytes}}},
        {RD_KAFKA_VTYPE_OPAQUE, {.ptr = (void *)(uintptr_t)opaque}},
        {RD_KAFKA_VTYPE_TIMESTAMP, {.i64 = now->ms}},
        {RD_KAFKA_VTYPE_HEADER, {.header = {"producerTime", now->text, (ssize_t)now->text_bytes}}},
        {RD_KAFKA_VTYPE_HEADER, {.header = {"lb", message->numbers, (ssize_t)message->numbers_bytes}}},
    };
    void *error = outbox->rd.produceva(outbox->client, vus, sizeof vus / sizeof *vus);
    const int code = error ? outbox->rd.error_code(error) : RD_KAFKA_ERR_NO_ERROR;
    if (error)
        outbox->rd.error_destroy(error);
    if (code == RD_KAFKA_ERR_QUEUE_FULL)
        return OUTBOX_FULL;
    outbox->outstanding[batch % OUTBOX_BATCHES] += message->count;
    outbox->counters.messages_total++;
    outbox->counters.waiting_messages++;
    if (code)
        note_failure(outbox, code, batch, message->count);
    return OUTBOX_DONE;
}

static bool is_called(const struct outbox_event *event, const uint8_t *name, size_t bytes)
{
    return strlen(event->name) == bytes && memcmp(event->name, name, bytes) == 0;
}

static uint32_t event_called(struct outbox *outbox, const uint8_t *name, size_t bytes)
{
    if (is_called(&outbox->events[outbox->newest_event], name, bytes))
        return outbox->newest_event;
    for (uint32_t i = 0; i < outbox->counters.events; i++)
        if (is_called(&outbox->events[i], name, bytes))
            return outbox->newest_event = i;
    if (bytes >= OUTBOX_NAME_BYTES || outbox->counters.events == OUTBOX_EVENTS_MAX || memchr(name, '\0', bytes))
        return 0;
    struct outbox_event *event = &outbox->events[outbox->counters.events];
    memcpy(event->name, name, bytes);
    event->topic = outbox->events[0].topic;
    return outbox->newest_event = outbox->counters.events++;
}

static void note_taken(struct outbox *outbox, struct pipe *pipe, uint32_t event)
{
    pipe->next_number++;
    outbox->counters.taken_total++;
    outbox->events[event].records_total++;
}

static int send_record(struct outbox *outbox, struct pipe *pipe, const uint8_t *record, size_t bytes, const struct now *now)
{
    const struct subject subject = subject_of(record, bytes);
    const uint32_t event = event_called(outbox, subject.event, subject.event_bytes);
    char numbers[OUTBOX_SOURCE_BYTES + DIGITS_MAX];
    memcpy(numbers, pipe->source, pipe->source_bytes);
    const size_t numbers_bytes = pipe->source_bytes + put_number(numbers + pipe->source_bytes, pipe->next_number);
    const struct message message = {
        outbox->events[event].topic, 1, subject.symbol, subject.symbol_bytes, record, bytes, numbers, numbers_bytes,
    };
    outbox->counters.waiting_records++;
    if (hand_over(outbox, &message, now) == OUTBOX_FULL) {
        outbox->counters.waiting_records--;
        return OUTBOX_FULL;
    }
    note_taken(outbox, pipe, event);
    return OUTBOX_DONE;
}

static int keep_record(struct outbox *outbox, int pipe_index, const uint8_t *record, size_t bytes, const struct now *now)
{
    struct pipe *pipe = &outbox->pipes[pipe_index];
    const struct subject subject = subject_of(record, bytes);
    if (outbox->is_flushing || !window_has_room(&outbox->window, bytes + subject.symbol_bytes))
        return OUTBOX_FULL;
    const uint32_t event = event_called(outbox, subject.event, subject.event_bytes);
    if (outbox->window.count == 0)
        outbox->packed_since = *now;
    if (window_add(&outbox->window, (uint32_t)pipe_index, outbox->events[event].topic, &subject, record, bytes, pipe->next_number) < 0) {
        note_fatal(outbox, OUTBOX_ERR_FAULT, "no memory to pack records in");
        return OUTBOX_FULL;
    }
    outbox->counters.waiting_records++;
    note_taken(outbox, pipe, event);
    return OUTBOX_DONE;
}

static size_t length_at(const uint8_t *bytes)
{
    return (size_t)bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
}

int outbox_take(struct outbox *outbox, int pipe, const uint8_t *frames, size_t bytes, struct outbox_taken *taken)
{
    const struct now taken_at = now();
    size_t at = 0;
    *taken = (struct outbox_taken){0};
    while (bytes - at >= LENGTH_BYTES) {
        const size_t length = length_at(frames + at);
        const uint8_t *record = frames + at + LENGTH_BYTES;
        if (bytes - at - LENGTH_BYTES < length)
            break;
        const int rc = outbox->is_packing ? keep_record(outbox, pipe, record, length, &taken_at)
                                          : send_record(outbox, &outbox->pipes[pipe], record, length, &taken_at);
        if (rc != OUTBOX_DONE)
            return rc;
        at += LENGTH_BYTES + length;
        *taken = (struct outbox_taken){at, taken->records + 1, at - length, length};
    }
    return OUTBOX_DONE;
}

static bool reserve_numbers(struct outbox *outbox, uint32_t records)
{
    const size_t wanted = OUTBOX_SOURCE_BYTES + ((size_t)records + 1) * (DIGITS_MAX + 1);
    if (wanted <= outbox->numbers_room)
        return true;
    char *larger = realloc(outbox->numbers, wanted);
    if (larger == NULL)
        return false;
    outbox->numbers = larger;
    outbox->numbers_room = wanted;
    return true;
}

/* A line may not have another inside: JSON has line breaks between its tokens alone, where a space is as good. */
static void copy_as_line(uint8_t *to, const uint8_t *text, size_t bytes)
{
    memcpy(to, text, bytes);
    for (uint8_t *at = to; (at = memchr(at, '\n', bytes - (size_t)(at - to))) != NULL;)
        *at = ' ';
}

/* As many of the group's records, from the first one on, as one message may have; one at least. Returns which is the next, or WINDOW_NONE. */
static uint32_t pack(struct outbox *outbox, const struct window_group *group, struct message *message)
{
    const struct window *window = &outbox->window;
    const struct pipe *pipe = &outbox->pipes[group->pipe];
    uint64_t before = 0;
    uint32_t place = group->first;
    memcpy(outbox->numbers, pipe->source, pipe->source_bytes);
    message->numbers = outbox->numbers;
    message->numbers_bytes = pipe->source_bytes;
    message->value = outbox->value;
    for (; place != WINDOW_NONE; place = window->records[place].next) {
        const struct window_record *record = &window->records[place];
        const size_t break_bytes = message->count > 0;
        if (message->value_bytes + break_bytes + record->bytes > outbox->message_bytes && message->count)
            break;
        if (message->count) {
            outbox->value[message->value_bytes++] = '\n';
            outbox->numbers[message->numbers_bytes++] = '+';
        }
        message->numbers_bytes += put_number(outbox->numbers + message->numbers_bytes, record->number - before);
        before = record->number;
        message->count++;
        if (record->bytes > outbox->message_bytes) { /* alone, and librdkafka says that it is too large */
            message->value = window->text + record->offset;
            message->value_bytes = record->bytes;
            return record->next;
        }
        copy_as_line(outbox->value + message->value_bytes, window->text + record->offset, record->bytes);
        message->value_bytes += record->bytes;
    }
    return place;
}

static int flush_group(struct outbox *outbox, struct window_group *group)
{
    while (group->first != WINDOW_NONE) {
        struct message message = {
            .topic = group->topic, .key = outbox->window.text + group->key_offset, .key_bytes = group->key_bytes};
        const uint32_t next = pack(outbox, group, &message);
        if (hand_over(outbox, &message, &outbox->packed_since) == OUTBOX_FULL)
            return OUTBOX_FULL;
        group->first = next;
    }
    return OUTBOX_DONE;
}

int outbox_flush(struct outbox *outbox)
{
    struct window *window = &outbox->window;
    if (window->count == 0)
        return OUTBOX_DONE;
    if (!reserve_numbers(outbox, window->count)) {
        note_fatal(outbox, OUTBOX_ERR_FAULT, "no memory to pack records in");
        return OUTBOX_FULL;
    }
    outbox->is_flushing = true;
    for (; window->handed_over < window->group_count; window->handed_over++)
        if (flush_group(outbox, &window->groups[window->handed_over]) == OUTBOX_FULL)
            return OUTBOX_FULL;
    window_clear(window);
    outbox->is_flushing = false;
    return OUTBOX_DONE;
}

static void note_done(struct outbox *outbox)
{
    struct outbox_counters *counters = &outbox->counters;
    while (counters->batches_done < counters->batches_closed && outbox->outstanding[counters->batches_done % OUTBOX_BATCHES] == 0)
        counters->batches_done++;
}

int outbox_close_batch(struct outbox *outbox)
{
    if (outbox->counters.batches_closed - outbox->counters.batches_done == OUTBOX_BATCHES - 1)
        return OUTBOX_FULL;
    outbox->counters.batches_closed++;
    note_done(outbox);
    return OUTBOX_DONE;
}

static void note_report(struct outbox *outbox, const struct rd_kafka_message *message)
{
    const uint64_t opaque = (uint64_t)(uintptr_t)message->opaque;
    const uint32_t batch = (uint32_t)opaque, count = (uint32_t)(opaque >> COUNT_SHIFT);
    if (message->err) {
        note_failure(outbox, message->err, batch, count);
        return;
    }
    outbox->counters.acknowledged_total += count;
    outbox->counters.acknowledged_messages_total++;
    outbox->counters.waiting_messages--;
    outbox->counters.waiting_records -= count;
    outbox->outstanding[batch % OUTBOX_BATCHES] -= count;
}

static void note_error(struct outbox *outbox, void *event)
{
    const char *text = outbox->rd.event_error_string(event);
    outbox->counters.errors_total++;
    outbox->counters.error = outbox->rd.event_error(event);
    snprintf(outbox->counters.error_text, OUTBOX_TEXT_BYTES, "%s", text);
    if (outbox->rd.event_error_is_fatal(event))
        note_fatal(outbox, outbox->counters.error, text);
}

void outbox_poll(struct outbox *outbox, int timeout_ms)
{
    void *event;
    while ((event = outbox->rd.queue_poll(outbox->queue, timeout_ms)) != NULL) {
        timeout_ms = 0;
        const struct rd_kafka_message *message;
        if (outbox->rd.event_type(event) == RD_KAFKA_EVENT_DR)
            while ((message = outbox->rd.event_message_next(event)) != NULL)
                note_report(outbox, message);
        else if (outbox->rd.event_type(event) == RD_KAFKA_EVENT_ERROR)
            note_error(outbox, event);
        outbox->rd.event_destroy(event);
    }
    note_done(outbox);
}

const struct outbox_counters *outbox_counters(const struct outbox *outbox)
{
    return &outbox->counters;
}

const struct outbox_event *outbox_event(const struct outbox *outbox, uint32_t event)
{
    return &outbox->events[event];
}

const char *outbox_error_name(const struct outbox *outbox, int code)
{
    return outbox->rd.err2str(code);
}

void outbox_free(struct outbox *outbox)
{
    if (outbox->client) {
        outbox->rd.purge(outbox->client, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        for (uint32_t i = 0; i < outbox->topic_count; i++) {
            outbox->rd.topic_destroy(outbox->topics[i].handle);
            free(outbox->topics[i].name);
        }
        outbox->rd.queue_destroy(outbox->queue);
        outbox->rd.destroy(outbox->client);
    }
    if (outbox->conf)
        outbox->rd.conf_destroy(outbox->conf);
    window_close(&outbox->window);
    free(outbox->pipes);
    free(outbox->outstanding);
    free(outbox->value);
    free(outbox->numbers);
    free(outbox);
}

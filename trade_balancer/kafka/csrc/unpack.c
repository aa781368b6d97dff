#include "unpack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 4, DIGITS_MAX = 19 };

/* What the header tells, after its source. */
struct numbers {
    const uint8_t *at, *end;
};

/* The next of them, or its step. Returns false where there is none. */
static bool next_step(struct numbers *numbers, uint64_t *step)
{
    const uint8_t *begin = numbers->at;
    for (*step = 0; numbers->at < numbers->end && *numbers->at >= '0' && *numbers->at <= '9'; numbers->at++)
        *step = *step * 10 + (uint64_t)(*numbers->at - '0');
    const ptrdiff_t digits = numbers->at - begin;
    if (digits == 0 || digits > DIGITS_MAX)
        return false;
    if (numbers->at < numbers->end && *numbers->at == '+' && numbers->end - numbers->at > 1)
        numbers->at++;
    return true;
}

struct span {
    uint64_t first, last;
    size_t count;
};

/* Returns false where they are not lb-kafka's. */
static bool span_of(struct numbers numbers, struct span *span)
{
    uint64_t step;
    if (!next_step(&numbers, &span->first))
        return false;
    span->last = span->first;
    for (span->count = 1; numbers.at < numbers.end; span->count++)
        if (!next_step(&numbers, &step) || __builtin_add_overflow(span->last, step, &span->last))
            return false;
    return span->last < UINT64_MAX;
}

static bool reserve(struct frames *frames, size_t bytes)
{
    if (bytes <= frames->room - frames->count)
        return true;
    const size_t room = frames->count + bytes + frames->room / 2;
    uint8_t *larger = realloc(frames->bytes, room);
    if (!larger)
        return false;
    frames->bytes = larger;
    frames->room = room;
    return true;
}

static void add(struct frames *frames, const uint8_t *record, size_t bytes)
{
    uint8_t *to = frames->bytes + frames->count;
    for (unsigned i = 0; i < LENGTH_BYTES; i++)
        to[i] = (uint8_t)(bytes >> 8 * i);
    if (bytes)
        memcpy(to + LENGTH_BYTES, record, bytes);
    frames->count += LENGTH_BYTES + bytes;
    frames->records_total++;
}

static int add_one(struct frames *frames, const struct message *message)
{
    if (!reserve(frames, LENGTH_BYTES + message->value_bytes))
        return -1;
    add(frames, message->value, message->value_bytes);
    return 0;
}

struct lines {
    const uint8_t *at, *end;
    bool is_over;
};

static const uint8_t *next_line(struct lines *lines, size_t *bytes)
{
    const uint8_t *line = lines->at, *found = lines->at < lines->end ? memchr(line, '\n', (size_t)(lines->end - line)) : NULL;
    lines->is_over = found == NULL;
    *bytes = (size_t)((found ? found : lines->end) - line);
    lines->at = found ? found + 1 : lines->end;
    return line;
}

/* Those that are numbered `next` or above. A line that has no number of its own goes with the one before it. */
static int add_lines(struct frames *frames, const struct message *message, struct numbers numbers, uint64_t next)
{
    struct lines lines = {message->value, message->value + message->value_bytes, false};
    uint64_t number = 0, step;
    if (!reserve(frames, LENGTH_BYTES * (message->value_bytes + 1))) /* as if it were line feeds alone */
        return -1;
    while (!lines.is_over) {
        size_t bytes;
        const uint8_t *line = next_line(&lines, &bytes);
        if (next_step(&numbers, &step))
            number += step;
        if (number >= next)
            add(frames, line, bytes);
        else
            frames->again_total++;
    }
    return 0;
}

int unpack(struct frames *frames, struct highest *highest, const struct message *message)
{
    if (!message->value) /* a tombstone */
        return 0;
    const uint8_t *slash = message->told_bytes ? memrchr(message->told, '/', message->told_bytes) : NULL;
    const struct numbers numbers = {slash ? slash + 1 : NULL, slash ? message->told + message->told_bytes : NULL};
    struct span span;
    if (!slash || !span_of(numbers, &span))
        return add_one(frames, message);
    uint64_t *next = highest_next(highest, message->told, (size_t)(slash - message->told), message->key, message->key_bytes);
    if (!next)
        return -1;
    const uint64_t before = *next;
    if (span.last >= before)
        *next = span.last + 1;
    if (span.count > 1)
        return add_lines(frames, message, numbers, before);
    if (span.first >= before)
        return add_one(frames, message);
    frames->again_total++;
    return 0;
}

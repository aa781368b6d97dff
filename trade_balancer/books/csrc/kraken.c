/* Kraken (websocket v2, channel book): {"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":45283.5,"qty":0.1}],
 * "asks":[],"checksum":2439117997,"timestamp":"..."}]}. Prices are numbers, whose text is read: a double would not have the checksum. */
#include "entries.h"
#include "events.h"
#include "instant.h"
#include "members.h"
#include "pairs.h"

static bool read_checksum(update *out, const struct json_value *checksum)
{
    uint64_t number;
    out->has_checksum = checksum->type != JSON_NULL;
    if (!out->has_checksum)
        return true;
    if (!value_read_count(checksum, &number) || number > UINT32_MAX)
        return false;
    out->checksum = (uint32_t)number;
    return true;
}

static int read_book(update *out, const struct json_value *book)
{
    struct member members[] = {{.name = "symbol"}, {.name = "bids"}, {.name = "asks"}, {.name = "checksum"}, {.name = "timestamp"}};
    const struct json_value *symbol = &members[0].value, *timestamp = &members[4].value;
    if (MEMBERS_READ(book->bytes, book->length, members) < 0 || !pairs_set(out, &members[1].value, &members[2].value) ||
        !read_checksum(out, &members[3].value) ||
        !string_read(symbol, out->spelled_name, sizeof out->spelled_name, &out->name, &out->name_bytes))
        return BOOKS_EMALFORMED;
    out->time_ns = 0;
    return timestamp->type == JSON_NULL || instant_read(timestamp, &out->time_ns) ? 1 : BOOKS_EMALFORMED;
}

static int next(update *of)
{
    struct json_value book;
    const int rc = events_next(of, &book);
    return rc == 1 ? read_book(of, &book) : rc;
}

static int about(const uint8_t *message, size_t bytes, update *out)
{
    struct member members[] = {{.name = "channel"}, {.name = "type"}, {.name = "data"}};
    const struct json_value *channel = &members[0].value, *type = &members[1].value, *data = &members[2].value;
    *out = (update){.end = message + bytes};
    if (MEMBERS_READ(message, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    if (!string_is(channel, "book"))
        return 0;
    if (data->type != JSON_ARRAY || (!string_is(type, "snapshot") && !string_is(type, "update")))
        return BOOKS_EMALFORMED;
    events_begin(out, data);
    const int rc = next(out);
    if (rc == 1)
        out->kind = string_is(type, "snapshot") ? UPDATE_WHOLE : UPDATE_DIFFERENCE;
    return rc < 0 ? rc : 0;
}

static int read_entry(const struct json_value *entry, side which, scale by, level *out)
{
    struct member members[] = {{.name = "price"}, {.name = "qty"}};
    (void)which;
    if (entry->type != JSON_OBJECT || MEMBERS_READ(entry->bytes, entry->length, members) < 0)
        return BOOKS_EMALFORMED;
    return level_read(&members[0].value, &members[1].value, by, out);
}

static ptrdiff_t levels(const update *of, side which, scale by, level *out, size_t limit)
{
    struct entries entries = entries_of(of, which, by, read_entry);
    return entries_read(&entries, out, limit);
}

const form kraken_form = {.name = "kraken", .about = about, .next = next, .levels = levels};

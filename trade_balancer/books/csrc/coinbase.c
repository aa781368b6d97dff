/* Coinbase Advanced Trade (channel level2): {"channel":"l2_data",...,"sequence_num":7,"events":[{"type":"update","product_id":"BTC-USD",
 * "updates":[{"side":"bid","event_time":"...","price_level":"21921.73","new_quantity":"0.06"}]}]}. Every message counts for the sequence. */
#include "entries.h"
#include "events.h"
#include "instant.h"
#include "members.h"

/* Both sides of a book are entries of one array. */
static int read_event(update *out, const struct json_value *event)
{
    struct member members[] = {{.name = "type"}, {.name = "product_id"}, {.name = "updates"}};
    const struct json_value *type = &members[0].value, *product = &members[1].value, *updates = &members[2].value;
    if (MEMBERS_READ(event->bytes, event->length, members) < 0 || updates->type != JSON_ARRAY ||
        !string_read(product, out->spelled_name, sizeof out->spelled_name, &out->name, &out->name_bytes))
        return BOOKS_EMALFORMED;
    if (!string_is(type, "snapshot") && !string_is(type, "update"))
        return BOOKS_EMALFORMED;
    out->kind = string_is(type, "snapshot") ? UPDATE_WHOLE : UPDATE_DIFFERENCE;
    out->price[BID] = out->price[ASK] = updates->bytes;
    return 1;
}

static int next(update *of)
{
    struct json_value event;
    const int rc = events_next(of, &event);
    return rc == 1 ? read_event(of, &event) : rc;
}

static int about(const uint8_t *message, size_t bytes, update *out)
{
    struct member members[] = {{.name = "channel"}, {.name = "timestamp"}, {.name = "sequence_num"}, {.name = "events"}};
    const struct json_value *channel = &members[0].value, *timestamp = &members[1].value, *sequence = &members[2].value,
                            *events = &members[3].value;
    *out = (update){.end = message + bytes};
    if (MEMBERS_READ(message, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    if (sequence->type != JSON_NULL) {
        if (!value_read_count(sequence, &out->last_id))
            return BOOKS_EMALFORMED;
        out->has_id = true;
        out->first_id = out->last_id;
    }
    if (!string_is(channel, "l2_data"))
        return 0;
    if (!out->has_id || events->type != JSON_ARRAY || (timestamp->type != JSON_NULL && !instant_read(timestamp, &out->time_ns)))
        return BOOKS_EMALFORMED;
    events_begin(out, events);
    const int rc = next(out);
    return rc < 0 ? rc : 0;
}

static int read_entry(const struct json_value *entry, side which, scale by, level *out)
{
    struct member members[] = {{.name = "side"}, {.name = "price_level"}, {.name = "new_quantity"}};
    const struct json_value *side_name = &members[0].value;
    if (entry->type != JSON_OBJECT || MEMBERS_READ(entry->bytes, entry->length, members) < 0)
        return BOOKS_EMALFORMED;
    const bool is_bid = string_is(side_name, "bid");
    if (!is_bid && !string_is(side_name, "offer"))
        return BOOKS_EMALFORMED;
    return is_bid == (which == BID) ? level_read(&members[1].value, &members[2].value, by, out) : 0;
}

static ptrdiff_t levels(const update *of, side which, scale by, level *out, size_t limit)
{
    struct entries entries = entries_of(of, which, by, read_entry);
    return entries_read(&entries, out, limit);
}

const form coinbase_form = {.name = "coinbase", .about = about, .next = next, .levels = levels};

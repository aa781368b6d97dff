/* Bitstamp v2 (websocket/v2): {"data":{...,"bids":[...],"asks":[...]},"channel":"order_book_btcusd","event":"data"}, of which the order of the
 * members and the white space have changed over the years. */
#include "instant.h"
#include "members.h"
#include "pairs.h"

enum { EACH_ORDER = 1 }; /* update.note: an entry is an order: the price, its amount, its number */

static const struct channel {
    const char *begins;
    update_kind kind;
    uint8_t note;
} channels[] = {
    {"order_book_", UPDATE_WHOLE, 0},
    {"diff_order_book_", UPDATE_DIFFERENCE, 0},
    {"detail_order_book_", UPDATE_WHOLE, EACH_ORDER},
};

static void set_channel(update *out, const uint8_t *channel, size_t bytes)
{
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        const size_t length = strlen(channels[i].begins);
        if (bytes < length || memcmp(channel, channels[i].begins, length))
            continue;
        out->kind = channels[i].kind;
        out->note = channels[i].note;
        out->name = channel + length;
        out->name_bytes = bytes - length;
    }
}

static bool set_microseconds(update *out, uint64_t time_us)
{
    out->has_id = true;
    out->first_id = out->last_id = time_us;
    return instant_of(time_us, 1000, &out->time_ns);
}

/* The message as it is written today. */
static bool guess(const uint8_t *message, size_t bytes, update *out)
{
    struct place place = {message, message + bytes};
    uint64_t time_s, time_us;
    if (bytes == 0 || message[bytes - 1] != '}' || !place_take(&place, "{\"data\":{\"timestamp\":\"") || !place_take_number(&place, &time_s) ||
        !place_take(&place, "\",\"microtimestamp\":\"") || !place_take_number(&place, &time_us) || !set_microseconds(out, time_us) ||
        !place_take(&place, "\",") || !pairs_guess(&place, out, "\"bids\":", "],\"asks\":") || !place_find(&place, "]},\"channel\":"))
        return false;
    out->close[ASK] = place.at;
    if (!place_take(&place, "]},\"channel\":\""))
        return false;
    const uint8_t *channel = place.at;
    if (!place_take_until(&place, '"'))
        return false;
    set_channel(out, channel, (size_t)(place.at - channel));
    const bool is_pairs = out->kind != UPDATE_NOTHING && out->note != EACH_ORDER; /* whose array must be JSON */
    return is_pairs && place_take(&place, "\",\"event\":\"data\"}") && place.at == place.end;
}

enum { TIMESTAMP, MICROTIMESTAMP, BIDS, ASKS, MEMBERS };

static int read_book(const uint8_t *object, size_t bytes, update *out)
{
    struct member members[MEMBERS] = {{.name = "timestamp"}, {.name = "microtimestamp"}, {.name = "bids"}, {.name = "asks"}};
    const struct json_value *timestamp = &members[TIMESTAMP].value, *microtimestamp = &members[MICROTIMESTAMP].value;
    uint64_t time;
    if (MEMBERS_READ(object, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    if (microtimestamp->type != JSON_NULL && !(value_read_count(microtimestamp, &time) && set_microseconds(out, time)))
        return BOOKS_EMALFORMED;
    if (microtimestamp->type == JSON_NULL && timestamp->type != JSON_NULL &&
        !(value_read_count(timestamp, &time) && instant_of(time, 1000000000, &out->time_ns)))
        return BOOKS_EMALFORMED;
    return pairs_set(out, &members[BIDS].value, &members[ASKS].value) ? 0 : BOOKS_EMALFORMED;
}

static int about(const uint8_t *message, size_t bytes, update *out)
{
    struct member members[] = {{.name = "event"}, {.name = "channel"}, {.name = "data"}};
    const struct json_value *event = &members[0].value, *channel = &members[1].value, *data = &members[2].value;
    const uint8_t *text;
    size_t length;
    *out = (update){.end = message + bytes};
    if (guess(message, bytes, out))
        return 0;
    *out = (update){.end = message + text_bytes(message, bytes)};
    if (MEMBERS_READ(message, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    if (!string_is(event, "data"))
        return 0;
    if (!string_read(channel, out->spelled_name, sizeof out->spelled_name, &text, &length))
        return BOOKS_EMALFORMED;
    set_channel(out, text, length);
    if (out->kind == UPDATE_NOTHING)
        return 0;
    return data->type == JSON_OBJECT ? read_book(data->bytes, data->length, out) : BOOKS_EMALFORMED;
}

static int snapshot(const uint8_t *body, size_t bytes, update *out)
{
    *out = (update){.kind = UPDATE_WHOLE, .end = body + text_bytes(body, bytes)};
    return read_book(body, bytes, out);
}

/* A price stands once for each order at it, one behind the other; and once more elsewhere is no book. */
static ptrdiff_t sum_orders(const update *of, side which, scale by, level *out, size_t limit)
{
    struct entries entries = entries_of(of, which, by, pair_read);
    size_t count = 0;
    level order;
    int rc;
    while ((rc = entries_next(&entries, &order)) == 1) {
        if (count > 0 && order.price == out[count - 1].price) {
            if (__builtin_add_overflow(out[count - 1].size, order.size, &out[count - 1].size))
                return BOOKS_ETOO_LARGE;
        } else if (count < limit) {
            out[count++] = order;
        } else {
            break;
        }
    }
    return rc < 0 ? rc : (ptrdiff_t)count;
}

static ptrdiff_t levels(const update *of, side which, scale by, level *out, size_t limit)
{
    return of->note == EACH_ORDER ? sum_orders(of, which, by, out, limit) : pairs_levels(of, which, by, out, limit);
}

const form bitstamp_form = {.name = "bitstamp", .about = about, .levels = levels, .snapshot = snapshot};

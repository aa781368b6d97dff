/* Binance spot (web-socket-streams.md, rest-api.md): combined streams, {"stream":"btcusdt@depth@100ms","data":{...}}, and what stands in `data`
 * alone. A partial depth names its symbol in the stream's name only: without one it says nothing. */
#include "best.h"
#include "instant.h"
#include "members.h"
#include "pairs.h"

/* Times are in ms, or in us where the address asked for that: a whole 3,000 years lie between what the two mean by one number. */
static const uint64_t FIRST_US = UINT64_C(100000000000000);

static bool set_time(update *out, uint64_t time)
{
    return instant_of(time, time < FIRST_US ? 1000000 : 1000, &out->time_ns);
}

static void set_ids(update *out, uint64_t first, uint64_t last)
{
    out->has_id = true;
    out->first_id = first;
    out->last_id = last;
}

static bool is_depth(const uint8_t *text, size_t bytes, const char *levels)
{
    const size_t length = strlen(levels);
    const uint8_t *rest = text + length;
    if (bytes < length || memcmp(text, levels, length))
        return false;
    return bytes == length || (bytes == length + 6 && (!memcmp(rest, "@100ms", 6))) || (bytes == length + 7 && !memcmp(rest, "@1000ms", 7));
}

/* What the name of a stream says behind its first '@'. */
static update_kind kind_of(const uint8_t *text, size_t bytes)
{
    if (is_depth(text, bytes, "depth"))
        return UPDATE_DIFFERENCE;
    if (is_depth(text, bytes, "depth20") || is_depth(text, bytes, "depth10") || is_depth(text, bytes, "depth5"))
        return UPDATE_WHOLE;
    return bytes == 10 && !memcmp(text, "bookTicker", 10) ? UPDATE_BEST : UPDATE_NOTHING;
}

static void set_stream(update *out, const uint8_t *stream, size_t bytes)
{
    const uint8_t *at = memchr(stream, '@', bytes);
    if (!at)
        return;
    out->name = stream;
    out->name_bytes = (size_t)(at - stream);
    out->kind = kind_of(at + 1, bytes - out->name_bytes - 1);
}

static bool guess_sides(struct place *place, update *out, const char *bids, const char *asks)
{
    if (!pairs_guess(place, out, bids, asks) || !place_find_tail(place, "]}}"))
        return false;
    out->close[ASK] = place->at;
    return true;
}

static bool guess_difference(struct place *place, update *out)
{
    uint64_t time, first, last;
    if (!place_take(place, "\"e\":\"depthUpdate\",\"E\":") || !place_take_number(place, &time) || !place_take(place, ",\"s\":\"") ||
        !place_take_until(place, '"') || !place_take(place, "\",\"U\":") || !place_take_number(place, &first) ||
        !place_take(place, ",\"u\":") || !place_take_number(place, &last) || !place_take(place, ",") || !set_time(out, time))
        return false;
    set_ids(out, first, last);
    return guess_sides(place, out, "\"b\":", "],\"a\":");
}

static bool guess_whole(struct place *place, update *out)
{
    uint64_t id;
    if (!place_take(place, "\"lastUpdateId\":") || !place_take_number(place, &id) || !place_take(place, ","))
        return false;
    set_ids(out, id, id);
    return guess_sides(place, out, "\"bids\":", "],\"asks\":");
}

/* A string from its opening quote on: where that stands. */
static bool guess_text(struct place *place, const uint8_t **text)
{
    *text = place->at;
    return place_take(place, "\"") && place_take_until(place, '"') && place_take(place, "\"");
}

static bool guess_best(struct place *place, update *out)
{
    uint64_t id;
    const uint8_t *symbol;
    if (!place_take(place, "\"u\":") || !place_take_number(place, &id) || !place_take(place, ",\"s\":") || !guess_text(place, &symbol))
        return false;
    set_ids(out, id, id);
    return place_take(place, ",\"b\":") && guess_text(place, &out->price[BID]) && place_take(place, ",\"B\":") &&
           guess_text(place, &out->size[BID]) && place_take(place, ",\"a\":") && guess_text(place, &out->price[ASK]) &&
           place_take(place, ",\"A\":") && guess_text(place, &out->size[ASK]) && place_take(place, "}}") &&
           place->at == place->end;
}

/* The message as it is written today: {"stream":"...","data":{ and the members in their order. */
static bool guess(const uint8_t *message, size_t bytes, update *out)
{
    struct place place = {message, message + bytes};
    if (bytes == 0 || message[bytes - 1] != '}' || !place_take(&place, "{\"stream\":\""))
        return false;
    const uint8_t *stream = place.at;
    if (!place_take_until(&place, '"'))
        return false;
    set_stream(out, stream, (size_t)(place.at - stream));
    if (!place_take(&place, "\",\"data\":{"))
        return false;
    switch (out->kind) {
    case UPDATE_DIFFERENCE: return guess_difference(&place, out);
    case UPDATE_WHOLE: return guess_whole(&place, out);
    case UPDATE_BEST: return guess_best(&place, out);
    case UPDATE_NOTHING: break;
    }
    return false;
}

enum { STREAM, DATA, EVENT, TIME, SYMBOL, FIRST, LAST, LOW_B, HIGH_B, LOW_A, HIGH_A, LAST_UPDATE, BIDS, ASKS, MEMBERS };

static const char *const names[MEMBERS] = {
    [STREAM] = "stream", [DATA] = "data", [EVENT] = "e", [TIME] = "E", [SYMBOL] = "s", [FIRST] = "U", [LAST] = "u",
    [LOW_B] = "b", [HIGH_B] = "B", [LOW_A] = "a", [HIGH_A] = "A", [LAST_UPDATE] = "lastUpdateId", [BIDS] = "bids", [ASKS] = "asks",
};

static int read_members(const uint8_t *object, size_t bytes, struct member members[MEMBERS])
{
    for (int i = 0; i < MEMBERS; i++)
        members[i].name = names[i];
    return members_read(object, bytes, members, MEMBERS);
}

static bool read_difference(const struct member members[MEMBERS], update *out)
{
    uint64_t time, first, last;
    if (!value_read_count(&members[TIME].value, &time) || !set_time(out, time) || !value_read_count(&members[FIRST].value, &first) ||
        !value_read_count(&members[LAST].value, &last))
        return false;
    set_ids(out, first, last);
    return pairs_set(out, &members[LOW_B].value, &members[LOW_A].value);
}

static bool read_whole(const struct member members[MEMBERS], update *out)
{
    uint64_t id;
    if (!value_read_count(&members[LAST_UPDATE].value, &id))
        return false;
    set_ids(out, id, id);
    return pairs_set(out, &members[BIDS].value, &members[ASKS].value);
}

static bool read_best(const struct member members[MEMBERS], update *out)
{
    uint64_t id;
    if (!value_read_count(&members[LAST].value, &id))
        return false;
    set_ids(out, id, id);
    return best_set(out, BID, &members[LOW_B].value, &members[HIGH_B].value) && best_set(out, ASK, &members[LOW_A].value, &members[HIGH_A].value);
}

static bool read_payload(const struct member members[MEMBERS], update *out)
{
    switch (out->kind) {
    case UPDATE_DIFFERENCE: return read_difference(members, out);
    case UPDATE_WHOLE: return read_whole(members, out);
    case UPDATE_BEST: return read_best(members, out);
    case UPDATE_NOTHING: break;
    }
    return true;
}

static int read_stream(const struct json_value *stream, const struct json_value *data, update *out)
{
    struct member members[MEMBERS];
    const uint8_t *text;
    size_t bytes;
    if (!string_read(stream, out->spelled_name, sizeof out->spelled_name, &text, &bytes))
        return BOOKS_EMALFORMED;
    set_stream(out, text, bytes);
    if (out->kind == UPDATE_NOTHING)
        return 0;
    if (data->type != JSON_OBJECT || read_members(data->bytes, data->length, members) < 0 || !read_payload(members, out))
        return BOOKS_EMALFORMED;
    return 0;
}

/* Symbols in a payload are in capitals, those of streams are not; letters beyond ASCII have no other case there. */
static bool set_symbol(update *out, const struct json_value *symbol)
{
    const uint8_t *text;
    size_t bytes;
    if (!string_read(symbol, out->spelled_name, sizeof out->spelled_name, &text, &bytes) || bytes > sizeof out->spelled_name)
        return false;
    for (size_t i = 0; i < bytes; i++)
        out->spelled_name[i] = text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i];
    out->name = out->spelled_name;
    out->name_bytes = bytes;
    return true;
}

static int read_raw(const struct member members[MEMBERS], update *out)
{
    const struct json_value *event = &members[EVENT].value;
    if (event->type == JSON_NULL && members[HIGH_B].value.type != JSON_NULL && members[HIGH_A].value.type != JSON_NULL)
        out->kind = UPDATE_BEST;
    else if (string_is(event, "depthUpdate"))
        out->kind = UPDATE_DIFFERENCE;
    else
        return 0;
    return set_symbol(out, &members[SYMBOL].value) && read_payload(members, out) ? 0 : BOOKS_EMALFORMED;
}

static int about(const uint8_t *message, size_t bytes, update *out)
{
    struct member members[MEMBERS];
    *out = (update){.end = message + bytes};
    if (guess(message, bytes, out))
        return 0;
    *out = (update){.end = message + text_bytes(message, bytes)};
    if (read_members(message, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    const struct json_value *stream = &members[STREAM].value;
    return stream->type == JSON_STRING ? read_stream(stream, &members[DATA].value, out) : read_raw(members, out);
}

static int snapshot(const uint8_t *body, size_t bytes, update *out)
{
    struct member members[MEMBERS];
    *out = (update){.kind = UPDATE_WHOLE, .end = body + text_bytes(body, bytes)};
    return read_members(body, bytes, members) == 0 && read_whole(members, out) ? 0 : BOOKS_EMALFORMED;
}

static ptrdiff_t levels(const update *of, side which, scale by, level *out, size_t limit)
{
    return of->kind == UPDATE_BEST ? best_levels(of, which, by, out, limit) : pairs_levels(of, which, by, out, limit);
}

const form binance_form = {.name = "binance", .about = about, .levels = levels, .snapshot = snapshot};

#include "pairs.h"
#include "decimal.h"

enum { QUICK_LEVEL_BYTES = 2 + DECIMAL_QUICK_BYTES + 3 + DECIMAL_QUICK_BYTES + 2 };

static bool set_side(update *out, side which, const struct json_value *array)
{
    if (array->type != JSON_ARRAY)
        return false;
    out->price[which] = array->bytes;
    out->close[which] = array->bytes + array->length - 1;
    return true;
}

bool pairs_set(update *out, const struct json_value *bids, const struct json_value *asks)
{
    return set_side(out, BID, bids) && set_side(out, ASK, asks);
}

bool pairs_guess(struct place *place, update *out, const char *bids, const char *asks)
{
    const size_t length = strlen(asks);
    if (!place_take_bytes(place, bids, strlen(bids)) || *place->at != '[')
        return false;
    out->price[BID] = place->at;
    if (!place_find_bytes(place, asks, length))
        return false;
    out->close[BID] = place->at;
    place->at += length;
    out->price[ASK] = place->at;
    return *place->at == '[';
}

/* A number or a plain string that says one: where it ends, or NULL where that is for decimal_read() to say. */
static inline const uint8_t *quick_decimal(const uint8_t *at, unsigned decimals, int64_t *out)
{
    const bool is_quoted = *at == '"';
    at += is_quoted;
    if (!is_quoted && at[0] == '0' && at[1] >= '0') /* no number of JSON */
        return NULL;
    at = decimal_quick(at, decimals, out);
    return at && is_quoted ? (*at == '"' ? at + 1 : NULL) : at;
}

/* Returns where the level ends, or NULL where it is written in any other way. */
static inline const uint8_t *quick_level(const uint8_t *at, scale by, level *out)
{
    if (*at != '[' || !(at = quick_decimal(at + 1, by.price_decimals, &out->price)))
        return NULL;
    if (*at != ',' || !(at = quick_decimal(at + 1, by.size_decimals, &out->size)))
        return NULL;
    return *at == ']' ? at + 1 : NULL;
}

/* The message's last bytes, with as many zeros behind them as quick_level() may read. */
static const uint8_t *copy_rest(uint8_t copy[2 * QUICK_LEVEL_BYTES], const uint8_t *at, const uint8_t *end)
{
    memset(copy, 0, 2 * QUICK_LEVEL_BYTES);
    return memcpy(copy, at, (size_t)(end - at));
}

/* Returns how many levels there are, or -1 where anything is not as it mostly is. */
static ptrdiff_t quick_levels(const update *of, side which, scale by, level *out, size_t limit)
{
    const bool has_zeros = of->kind == UPDATE_DIFFERENCE;
    const uint8_t *at = of->price[which], *end = of->end, *read_end = end;
    uint8_t copy[2 * QUICK_LEVEL_BYTES];
    size_t count = 0;
    if (at[1] == ']')
        return at + 1 == of->close[which] ? 0 : -1;
    do {
        at++;
        if (count == limit)
            return (ptrdiff_t)count;
        if (read_end - at < QUICK_LEVEL_BYTES) {
            const ptrdiff_t rest = end - at;
            at = copy_rest(copy, at, end);
            end = copy + rest;
            read_end = copy + sizeof copy;
        }
        if (!(at = quick_level(at, by, &out[count])))
            return -1;
        count += out[count].price != 0 && (out[count].size != 0 || has_zeros);
    } while (*at == ',');
    const bool is_closed = *at == ']' && end - at == of->end - of->close[which];
    return is_closed ? (ptrdiff_t)count : -1;
}

int pair_read(const struct json_value *entry, side which, scale by, level *out)
{
    struct json_reader reader = json_reader(entry->bytes, entry->length);
    struct json_value price, size;
    (void)which;
    if (entry->type != JSON_ARRAY || !json_next_item(&reader, &price) || !json_next_item(&reader, &size))
        return BOOKS_EMALFORMED;
    return level_read(&price, &size, by, out);
}

ptrdiff_t pairs_levels(const update *of, side which, scale by, level *out, size_t limit)
{
    const ptrdiff_t count = quick_levels(of, which, by, out, limit);
    if (count >= 0)
        return count;
    struct json_reader reader = json_reader(of->price[which], (size_t)(of->end - of->price[which]));
    struct json_value array;
    if (!json_take_value(&reader, &array) || reader.at != of->close[which] + 1)
        return BOOKS_EMALFORMED;
    struct entries entries = entries_of(of, which, by, pair_read);
    return entries_read(&entries, out, limit);
}

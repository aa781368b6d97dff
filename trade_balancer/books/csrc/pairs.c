#include "pairs.h"
#include "decimal.h"

enum { QUICK_LEVEL_BYTES = 2 + DECIMAL_QUICK_BYTES + 3 + DECIMAL_QUICK_BYTES + 2 };

bool pairs_set(update *out, const struct json_value *bids, const struct json_value *asks)
{
    out->price[BID] = bids->bytes;
    out->price[ASK] = asks->bytes;
    return bids->type == JSON_ARRAY && asks->type == JSON_ARRAY;
}

bool pairs_guess(struct place *place, update *out, const char *bids, const char *asks)
{
    if (!place_take_bytes(place, bids, strlen(bids)))
        return false;
    out->price[BID] = place->at;
    if (*place->at != '[' || !place_find_bytes(place, asks, strlen(asks)) || !place_take_bytes(place, asks, strlen(asks)))
        return false;
    out->price[ASK] = place->at;
    return *place->at == '[';
}

/* Returns where the level ends, or NULL where it is written in any other way. */
static inline const uint8_t *quick_level(const uint8_t *at, scale by, level *out)
{
    if (at[0] != '[' || at[1] != '"' || !(at = decimal_quick(at + 2, by.price_decimals, &out->price)))
        return NULL;
    if (at[0] != '"' || at[1] != ',' || at[2] != '"' || !(at = decimal_quick(at + 3, by.size_decimals, &out->size)))
        return NULL;
    return at[0] == '"' && at[1] == ']' ? at + 2 : NULL;
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
    const uint8_t *at = of->price[which], *end = of->end;
    uint8_t copy[2 * QUICK_LEVEL_BYTES];
    size_t count = 0;
    if (at[0] == '[' && at[1] == ']')
        return 0;
    do {
        at++;
        if (count == limit)
            break;
        if (end - at < QUICK_LEVEL_BYTES) {
            at = copy_rest(copy, at, end);
            end = copy + sizeof copy;
        }
        if (!(at = quick_level(at, by, &out[count])))
            return -1;
        count += out[count].price != 0 && (out[count].size != 0 || has_zeros);
    } while (*at == ',');
    return count == limit || *at == ']' ? (ptrdiff_t)count : -1;
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
    if (!json_take_value(&reader, &array) || array.type != JSON_ARRAY)
        return BOOKS_EMALFORMED;
    struct entries entries = entries_of(of, which, by, pair_read);
    return entries_read(&entries, out, limit);
}

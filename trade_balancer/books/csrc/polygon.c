/* Polygon, crypto: XL2, {"ev":"XL2","pair":"BTC-USD","t":1690409119847,"x":1,"b":[[29180.01,0.5]],"a":[]}, the book of the exchange x; and XQ,
 * its best bid and ask in bp, bs, ap and as. */
#include "best.h"
#include "instant.h"
#include "members.h"
#include "pairs.h"

enum { EVENT, PAIR, TIME, EXCHANGE, BIDS, ASKS, BID_PRICE, BID_SIZE, ASK_PRICE, ASK_SIZE, MEMBERS };

static bool read_where_and_when(const struct member *members, update *out)
{
    uint64_t exchange, time_ms;
    if (!string_read(&members[PAIR].value, out->spelled_name, sizeof out->spelled_name, &out->name, &out->name_bytes) ||
        !value_read_count(&members[EXCHANGE].value, &exchange) || exchange > UINT32_MAX ||
        !value_read_count(&members[TIME].value, &time_ms) || !instant_of(time_ms, 1000000, &out->time_ns))
        return false;
    out->source = (uint32_t)exchange;
    return true;
}

static int about(const uint8_t *message, size_t bytes, update *out)
{
    struct member members[MEMBERS] = {
        [EVENT] = {.name = "ev"},      [PAIR] = {.name = "pair"},    [TIME] = {.name = "t"},        [EXCHANGE] = {.name = "x"},
        [BIDS] = {.name = "b"},        [ASKS] = {.name = "a"},       [BID_PRICE] = {.name = "bp"},  [BID_SIZE] = {.name = "bs"},
        [ASK_PRICE] = {.name = "ap"},  [ASK_SIZE] = {.name = "as"},
    };
    *out = (update){.end = message + text_bytes(message, bytes)};
    if (MEMBERS_READ(message, bytes, members) < 0)
        return BOOKS_EMALFORMED;
    const bool is_book = string_is(&members[EVENT].value, "XL2"), is_best = string_is(&members[EVENT].value, "XQ");
    if (!is_book && !is_best)
        return 0;
    out->kind = is_book ? UPDATE_WHOLE : UPDATE_BEST;
    const bool has_levels = is_book ? pairs_set(out, &members[BIDS].value, &members[ASKS].value)
                                    : best_set(out, BID, &members[BID_PRICE].value, &members[BID_SIZE].value) &&
                                          best_set(out, ASK, &members[ASK_PRICE].value, &members[ASK_SIZE].value);
    return has_levels && read_where_and_when(members, out) ? 0 : BOOKS_EMALFORMED;
}

static ptrdiff_t levels(const update *of, side which, scale by, level *out, size_t limit)
{
    return of->kind == UPDATE_BEST ? best_levels(of, which, by, out, limit) : pairs_levels(of, which, by, out, limit);
}

const form polygon_form = {.name = "polygon", .about = about, .levels = levels};

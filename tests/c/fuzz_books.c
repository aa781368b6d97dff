/* Whatever venues say: books stay in order, within their bounds and never crossed, merges are in order and their bytes fit.
 *
 * Input: a byte that chooses the form, one that chooses the rule and the depths, and lines: a message each, or behind `!` a snapshot's body.
 * `@` at a line's begin resets the books, `#` closes and opens them. */
#include "books.h"
#include "input.h"
#include "book.h"

enum { DEPTH = 3, BOOK_LEVELS = 6, NAMES = 2, DECIMALS = 8 };

static const char *const names[][NAMES] = {
    [FORM_BINANCE] = {"btcusdt", "ethusdt"}, [FORM_BITSTAMP] = {"btcusd", "ethusd"}, [FORM_COINBASE] = {"BTC-USD", "ETH-USD"},
    [FORM_KRAKEN] = {"BTC/USD", "ETH/USD"},  [FORM_POLYGON] = {"BTC-USD", "ETH-USD"},
};

static void open_books(struct books *books, uint32_t form_, uint32_t choice)
{
    for (uint32_t symbol = 0; symbol < NAMES; symbol++) {
        const char *name = names[form_][symbol];
        REQUIRE(books_open(books, 0, symbol, (const uint8_t *)name, strlen(name), choice % 5, DECIMALS - 1, DECIMALS, choice / 5 % 5, 0) == 0);
    }
}

static void require_side_in_order(const struct books_level *level, uint32_t count, int which)
{
    for (uint32_t i = 0; i < count; i++) {
        REQUIRE(level[i].size > 0 && level[i].price > 0);
        REQUIRE(i == 0 || (which == BID ? level[i].price < level[i - 1].price : level[i].price > level[i - 1].price));
    }
}

static void look_at(struct books *books, uint32_t symbol)
{
    struct books_level level[2][BOOK_LEVELS + 1];
    struct books_book told;
    uint32_t count[2];
    books_book(books, 0, symbol, &told);
    for (int which = BID; which <= ASK; which++) {
        count[which] = books_levels(books, 0, symbol, (uint32_t)which, level[which], BOOK_LEVELS + 1);
        require_side_in_order(level[which], count[which], which);
    }
    REQUIRE(told.is_synced || count[BID] + count[ASK] == 0);
    REQUIRE(count[BID] == 0 || count[ASK] == 0 || level[BID][0].price < level[ASK][0].price);
    REQUIRE(told.bid_levels <= BOOK_LEVELS && told.ask_levels <= BOOK_LEVELS);
    struct summary *summary = malloc(books_merge_room(books));
    REQUIRE(summary);
    const size_t bytes = books_merge(books, symbol, 1, summary);
    if (bytes) {
        REQUIRE(bytes <= books_merge_room(books));
        REQUIRE(summary->bids <= DEPTH && summary->asks <= DEPTH && summary->crossing == CROSSING_NONE);
        uint8_t *exact = malloc(bytes * SUMMARY_ENCODED_TIMES);
        REQUIRE(exact && summary_v1(summary, DEPTH, exact) > 0);
        summary_orderbook(summary, DEPTH, exact);
        free(exact);
    }
    REQUIRE(books_merge(books, symbol, 2, summary) == 0);
    free(summary);
}

static void take_line(struct books *books, const uint8_t *line, size_t bytes)
{
    static uint8_t frame[sizeof(uint32_t) + INPUT_MAX_BYTES];
    const uint32_t length = (uint32_t)bytes;
    memcpy(frame, &length, sizeof length);
    memcpy(frame + sizeof length, line, bytes);
    const size_t framed = sizeof length + bytes;
    REQUIRE(books_take(books, 0, guarded(frame, framed, 0), framed, 1) == 0);
    REQUIRE(books_taken(books)->consumed_bytes == framed);
    REQUIRE(books_taken(books)->changed <= NAMES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_MAX_BYTES / 2)
        return 0;
    const uint32_t form_ = data[0] % 5;
    struct books *books = books_new(DEPTH, BOOK_LEVELS);
    REQUIRE(books && books_add_venue(books, "venue", form_, -1) == 0);
    REQUIRE(books_add_symbol(books, "BTC-USD", DECIMALS, DECIMALS) == 0 && books_add_symbol(books, "ETH-USD", DECIMALS, DECIMALS) == 1);
    open_books(books, form_, data[1]);
    const uint8_t *end = data + size;
    for (const uint8_t *line = data + 2, *line_end; line < end; line = line_end + 1) {
        line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end ? line_end : end;
        const size_t bytes = (size_t)(line_end - line);
        if (bytes && *line == '!') {
            REQUIRE(books_snapshot(books, 0, 0, guarded(line + 1, bytes - 1, 0), bytes - 1, 1) == 0);
        } else if (bytes && *line == '@') {
            books_reset(books, 0, 0);
        } else if (bytes && *line == '#') {
            books_close(books, 0, 0);
            books_close(books, 0, 1);
            open_books(books, form_, data[1]);
        } else {
            take_line(books, line, bytes);
        }
        for (uint32_t symbol = 0; symbol < NAMES; symbol++)
            look_at(books, symbol);
    }
    books_free(books);
    return 0;
}

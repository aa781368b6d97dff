/* Whatever a message says of a book, it says the same whether its layout was guessed or read, and the first levels are the same however many are
 * asked for. Nothing reads a byte outside of the message.
 *
 * Input: a byte that chooses the venue (or the body of a snapshot), one for the scale and the limit, and the message. */
#include "input.h"
#include "update.h"

enum { MESSAGE_MAX_BYTES = 8192, LEVELS = MESSAGE_MAX_BYTES };

static const struct source {
    const form *form;
    bool is_snapshot;
} sources[] = {
    {&binance_form, false}, {&bitstamp_form, false}, {&coinbase_form, false}, {&kraken_form, false},
    {&polygon_form, false}, {&binance_form, true},   {&bitstamp_form, true},
};

struct reading {
    ptrdiff_t counts[2];
    level levels[2][LEVELS];
};

static int begin(const struct source *source, const uint8_t *message, size_t length, update *out)
{
    return (source->is_snapshot ? source->form->snapshot : source->form->about)(message, length, out);
}

static void read_levels(const struct source *source, const update *of, scale by, size_t limit, struct reading *out)
{
    for (int which = BID; which <= ASK; which++) {
        out->counts[which] = source->form->levels(of, (side)which, by, out->levels[which], limit);
        REQUIRE(out->counts[which] >= BOOKS_ETOO_LARGE && out->counts[which] <= (ptrdiff_t)limit);
        for (ptrdiff_t i = 0; i < out->counts[which]; i++) {
            const level *one = &out->levels[which][i];
            REQUIRE(one->price > 0 && one->size >= (of->kind != UPDATE_DIFFERENCE));
        }
    }
}

static bool has_fault(const struct reading *reading)
{
    return reading->counts[BID] < 0 || reading->counts[ASK] < 0;
}

static void require_same_levels(const struct reading *some, const struct reading *all, ptrdiff_t limit)
{
    for (int which = BID; which <= ASK; which++) {
        const ptrdiff_t count = all->counts[which] < limit ? all->counts[which] : limit;
        if (all->counts[which] < 0) /* which is perhaps behind the limit */
            continue;
        REQUIRE(some->counts[which] == count);
        REQUIRE(!memcmp(some->levels[which], all->levels[which], (size_t)count * sizeof(level)));
    }
}

static void require_same(const update *one, const update *other)
{
    REQUIRE(one->kind == other->kind && one->name_bytes == other->name_bytes);
    REQUIRE(!one->name == !other->name && (!one->name || !memcmp(one->name, other->name, one->name_bytes)));
    REQUIRE(one->has_id == other->has_id && one->first_id == other->first_id && one->last_id == other->last_id);
    REQUIRE(one->time_ns == other->time_ns && one->time_ns >= 0 && one->source == other->source);
    REQUIRE(one->has_checksum == other->has_checksum && one->checksum == other->checksum);
}

static int next(const struct source *source, update *of)
{
    return source->form->next ? source->form->next(of) : 0;
}

/* White space at the end is no layout of the day: nothing is guessed of `spaced`. */
static void compare(const struct source *source, const uint8_t *message, size_t length, const uint8_t *spaced, scale by, size_t limit)
{
    static struct reading quick[2], exact[2];
    update guessed, read;
    int rc = begin(source, message, length, &guessed), rc_read = begin(source, spaced, length + 1, &read);
    REQUIRE(rc <= 0 && rc_read <= 0 && (rc == 0 || rc_read < 0));
    if (rc_read < 0) { /* no JSON: who reads all of the guess must see that */
        if (rc < 0)
            return;
        read_levels(source, &guessed, by, LEVELS, &quick[0]);
        REQUIRE(has_fault(&quick[0]));
        return;
    }
    do {
        require_same(&guessed, &read);
        if (guessed.kind != UPDATE_NOTHING) {
            read_levels(source, &guessed, by, limit, &quick[0]);
            read_levels(source, &guessed, by, LEVELS, &quick[1]);
            read_levels(source, &read, by, limit, &exact[0]);
            read_levels(source, &read, by, LEVELS, &exact[1]);
            for (int i = 0; i < 2; i++) {
                REQUIRE(!memcmp(quick[i].counts, exact[i].counts, sizeof quick[i].counts));
                require_same_levels(&quick[i], &exact[i], LEVELS);
            }
            require_same_levels(&quick[0], &quick[1], (ptrdiff_t)limit);
        }
        rc = next(source, &guessed);
        rc_read = next(source, &read);
        REQUIRE(rc == rc_read);
    } while (rc == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t spaced[MESSAGE_MAX_BYTES + 1];
    if (size < 2 || size - 2 > MESSAGE_MAX_BYTES)
        return 0;
    const size_t length = size - 2;
    const scale by = {data[1] & 16 ? 2 : 8, data[1] & 32 ? 0 : 8};
    memcpy(spaced, data + 2, length);
    spaced[length] = ' ';
    compare(&sources[data[0] % (sizeof sources / sizeof *sources)], guarded(data + 2, length, 0), length, spaced, by, data[1] & 15);
    return 0;
}

/* What a record of the fast path is, shown without reading its values. Included by fast.h.
 *
 * Law: reads the caller's bytes (FAST_PAD_BYTES behind the record as well, without using them), makes no system call, allocates nothing,
 * keeps nothing.
 *
 * A record is looked at in blocks of 64 bytes: for each character that matters, a word tells where it is. From these words follows, for all
 * members at once, that each value is a number, a string or a list of integers from end to end, with the next name right behind it. Event
 * and number of members tell the layout; then every name is compared, with the comma before it and the quotes around it. A record of
 * which all that is so can't be anything but this object: no byte of it is left unaccounted for. */

enum {
    WORD_BYTES = 64,
    RECORD_MIN_BYTES = 16,
    RECORD_MAX_BYTES = 255,
    NAMES_MAX = RECORD_MAX_BYTES / 2,
    PLACES_SLACK = 64,
    FIRST_COLON_AT = 5 /* in {"ev": */
};

/* Where in a record the characters are that matter: a bit for each byte. What is behind the record's end means nothing. */
struct looks {
    uint64_t quote[RECORD_WORDS], comma[RECORD_WORDS], digit[RECORD_WORDS], zero[RECORD_WORDS], point[RECORD_WORDS];
    uint64_t open[RECORD_WORDS], close[RECORD_WORDS]; /* brackets */
    uint64_t name[RECORD_WORDS];                      /* colons right behind a quote */
    uint64_t odd[RECORD_WORDS]; /* what needs a closer look: control characters, backslashes, anything but ASCII */
};

/* A record of the group. */
struct candidate {
    const uint8_t *record;
    size_t length;
    uint32_t event;
    uint32_t is_proven;
    const struct layout *layout; /* NULL: none is known that it has */
    uint32_t names;
    uint8_t colon_at[NAMES_MAX + PLACES_SLACK]; /* of each name; then where one more would be */
    struct looks looks;
};

/* To be had from the file that includes this: */

/* Looks at 64 bytes; the one before them may be read as well. */
FAST void look_at(const uint8_t *bytes, uint32_t word, struct looks *looks);

/* Writes where the bits of a mask are, counted from `base`, behind the `count` places that are there. Returns how many there are then. It
 * may write PLACES_SLACK places more. */
FAST uint32_t add_places(uint8_t *places, uint32_t count, size_t base, uint64_t mask);

FAST struct bits load_bits(const uint64_t *words);
FAST struct bits first_bits(size_t count);
FAST struct bits and_bits(struct bits one, struct bits other);
FAST struct bits and_not_bits(struct bits one, struct bits other); /* one & ~other */
FAST struct bits or_bits(struct bits one, struct bits other);
FAST struct bits xor_bits(struct bits one, struct bits other);
FAST struct bits next_bits(struct bits bits); /* all one place up */
FAST struct bits sum_bits(struct bits one, struct bits other);
FAST int has_bits(struct bits bits);

/* Whether some name's word differs: that before the colon_at[i] of all members but the first. */
FAST int words_differ(const struct layout *layout, const uint8_t *record, const uint8_t *colon_at);

/* The first step: where everything is. */
FAST void look_at_record(struct candidate *candidate)
{
    const size_t length = candidate->length;
    uint32_t word = 0, names = 0;
    for (size_t at = 0; at < length; at += WORD_BYTES, word++) {
        look_at(candidate->record + at, word, &candidate->looks);
        uint64_t name = candidate->looks.name[word];
        if (length - at < WORD_BYTES)
            name &= (UINT64_C(1) << (length - at)) - 1;
        names = add_places(candidate->colon_at, names, at, name);
    }
    candidate->names = names;
    memset(candidate->colon_at + names, (int)(length - 2), NAMES_AT_ONCE); /* words_differ() reads on */
}

/* From the bits of `from`, all of them in `through`, on to the first places that are not in it: the carries of the addition run there. */
FAST struct bits run_through(struct bits from, struct bits through)
{
    return and_not_bits(sum_bits(from, through), through);
}

/* The second step: what follows from that. A value begins behind each name's colon. Right behind each value are a comma and a quote, or the
 * record's last byte; and before each such pair is the end of a value. (A name begins with such a pair, see has_names(), and a value that
 * begins behind one name's colon can't go on beyond the next name's comma. So each value ends where the next name begins.) */
FAST int is_proven(const struct looks *looks, size_t length)
{
    const struct bits within = first_bits(length);
    const struct bits quote = and_bits(load_bits(looks->quote), within), digit = and_bits(load_bits(looks->digit), within);
    const struct bits comma = and_bits(load_bits(looks->comma), within), point = load_bits(looks->point);
    const struct bits begin = next_bits(and_bits(load_bits(looks->name), within));
    const struct bits number = and_bits(begin, digit), string = and_bits(begin, quote), list = and_bits(begin, load_bits(looks->open));

    const struct bits behind_integer = run_through(number, digit);
    const struct bits fraction = next_bits(and_bits(behind_integer, point));
    const struct bits behind_fraction = run_through(and_bits(fraction, digit), digit);
    const struct bits behind_number = or_bits(and_not_bits(behind_integer, point), behind_fraction);
    const struct bits behind_text = run_through(string, or_bits(string, and_not_bits(within, quote)));
    const struct bits behind_items = run_through(list, or_bits(list, or_bits(digit, comma)));
    const struct bits behind = or_bits(behind_number, next_bits(or_bits(behind_text, behind_items)));

    const struct bits behind_comma = next_bits(comma), first_item = next_bits(list), past = and_not_bits(next_bits(within), within);
    const struct bits zero = and_bits(or_bits(number, or_bits(first_item, behind_comma)), load_bits(looks->zero));
    struct bits faults = and_bits(load_bits(looks->odd), within);
    faults = or_bits(faults, and_bits(next_bits(zero), digit)); /* a leading zero stands alone */
    faults = or_bits(faults, and_not_bits(behind_items, load_bits(looks->close)));
    faults = or_bits(faults, and_not_bits(behind_comma, or_bits(quote, digit)));
    faults = or_bits(faults, and_bits(first_item, comma));
    faults = or_bits(faults, xor_bits(next_bits(behind), or_bits(and_bits(behind_comma, quote), past)));
    return !has_bits(faults);
}

/* Whether all names of the record are those of the layout. Its first, "ev", was compared before. */
FAST int has_names(const struct layout *layout, const struct candidate *candidate)
{
    if (words_differ(layout, candidate->record, candidate->colon_at))
        return 0;
    for (uint32_t i = 0; i < layout->longs; i++) {
        const struct layout_text *text = &layout->text[layout->is_long[i]];
        const size_t end = candidate->colon_at[layout->is_long[i]] + 1U;
        if (end < text->length || memcmp(candidate->record + end - text->length, text->bytes, text->length))
            return 0;
    }
    return 1;
}

/* The third step: which layout it has; NULL where it has none that is known. */
FAST const struct layout *find_layout(const struct layouts *layouts, const struct candidate *candidate)
{
    if (candidate->names > LAYOUT_MEMBERS_MAX || candidate->colon_at[0] != FIRST_COLON_AT)
        return NULL;
    for (uint32_t i = layouts->first[candidate->event][candidate->names]; i; i = layouts->layout[i - 1].next)
        if (has_names(&layouts->layout[i - 1], candidate))
            return &layouts->layout[i - 1];
    return NULL;
}

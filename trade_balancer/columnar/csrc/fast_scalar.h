/* What only AVX-512 has instructions for. Included behind fast.h. */

enum { PLACES_AT_ONCE = 8 };

/* Always eight at a time: how many there are differs from record to record, and a loop that knew it would be mispredicted at most. */
FAST uint32_t add_places(uint8_t *places, uint32_t count, size_t base, uint64_t mask)
{
    const uint32_t behind = count + (uint32_t)__builtin_popcountll(mask);
    do {
#pragma GCC unroll 8
        for (uint32_t i = 0; i < PLACES_AT_ONCE; i++) {
            places[count + i] = (uint8_t)(base + (unsigned)(mask ? __builtin_ctzll(mask) : 0));
            mask &= mask - 1;
        }
        count += PLACES_AT_ONCE;
    } while (mask);
    return behind;
}

FAST int words_differ(const struct layout *layout, const uint8_t *record, const uint8_t *colon_at)
{
    uint64_t difference = 0;
    for (uint32_t i = 1; i < layout->members; i += 4)
#pragma GCC unroll 4
        for (uint32_t j = i; j < i + 4; j++)
            difference |= (load_64(record + colon_at[j] - 7) ^ layout->word[j]) & layout->mask[j];
    return difference != 0;
}

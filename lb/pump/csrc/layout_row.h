/* Makes a row of the table of layouts (layout.h). Included by each venue's file, once, with these defined:
 *
 *   LAYOUT(name)      the venue's name for `name`. In its header are, for a record that the scanner cut:
 *                       is_notice()  whether it is the venue's own word
 *                       shard_key()  the bytes that decide its pipe
 *                       kind()       what samples of records are told apart by
 *                     and, for one that is not cut yet:
 *                       flat_bytes() its length, where that is quickly proven; 0 where it is not
 *
 * where there are records that are the venue's own word besides:
 *
 *   LAYOUT_IS_TOLD    the name of a function like is_notice() that tells which
 *
 * and, where messages are arrays of many flat objects, with these, too: then they are dealt in a hurry.
 *
 *   LAYOUT_KEY_END    the byte behind the key that quick_key() finds
 *   LAYOUT_LETTER_AT  see struct layout
 *   LAYOUT(name)      is_quick()   whether a record begins like those that are dealt in a hurry
 *                     quick_key()  where the key of such a record begins, or NULL
 *                     quick_letter()  the kind of a record that has such a key: that letter */
#include "backlog.h"
#include "deal.h"
#include "samples.h"
#include "shard.h"
#include "vectors.h"

#ifndef LAYOUT_LETTER_AT
#define LAYOUT_LETTER_AT 0
#endif

#if VECTORS_X86 && defined LAYOUT_KEY_END

#include "avx2.h"
#define VECTORS(name) avx2_##name
#define VECTORS_TARGET AVX2_TARGET
#include "deal_flat.h"
#include "deal_select.h"
#undef VECTORS
#undef VECTORS_TARGET

#include "avx512.h"
#define VECTORS(name) avx512_##name
#define VECTORS_TARGET AVX512_TARGET
#include "deal_flat.h"
#include "deal_select.h"

#define DEAL_RUNS deal_no_run, avx2_deal_run, avx512_deal_run
#define DEAL_SELECTED deal_no_run, avx2_deal_selected, avx512_deal_selected
#else
#define DEAL_RUNS deal_no_run, deal_no_run, deal_no_run
#define DEAL_SELECTED DEAL_RUNS
#endif

static size_t deal_no_run(struct pump *pump, const uint8_t *text, const uint8_t *end, uint8_t state)
{
    (void)pump, (void)text, (void)end, (void)state;
    return 0;
}

#include "deal_text.h"

const struct layout LAYOUT(layout) = {{DEAL_RUNS}, {DEAL_SELECTED}, deal_text, LAYOUT_LETTER_AT};

#include "layout.h"
#include "vectors.h"

#include <string.h>

void layout_init(struct pump *pump, uint32_t widest)
{
    pump->vectors = PUMP_VECTORS_BASELINE;
    if (pump->config.route == PUMP_ROUTE_KEY) /* vectors know where a venue's own key is, and no other */
        widest = PUMP_VECTORS_BASELINE;
    if (widest >= PUMP_VECTORS_AVX512 && vectors_have_avx512())
        pump->vectors = PUMP_VECTORS_AVX512;
    else if (widest >= PUMP_VECTORS_AVX2 && vectors_have_avx2())
        pump->vectors = PUMP_VECTORS_AVX2;
    struct flat_vectors *flat = &pump->flat;
    memset(flat->above, '{', sizeof flat->above);
    memset(flat->backslash, '\\', sizeof flat->backslash);
    memset(flat->quote, '"', sizeof flat->quote);
    memcpy(flat->head_above, flat->above, sizeof flat->head_above);
    flat->head_above[0] = '{' + 1;
    if (layout_of(pump)->letter_at)
        flat->head_above[layout_of(pump)->letter_at] = '\\';
}

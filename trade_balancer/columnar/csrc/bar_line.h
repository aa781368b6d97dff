/* Law: writes into the caller's memory, makes no system call, allocates nothing, keeps nothing.
 *
 * A bar as a line of JSON: {"sym","t","o","h","l","c","v","n","vw"}, and "rev" of a corrected one. */
#ifndef BAR_LINE_H
#define BAR_LINE_H

#include "bar.h"

enum {
    BAR_LINE_OTHER_BYTES = 320, /* names of 60; numbers: five of 26, the volume of 42, and four of 20 */
    BAR_LINE_ESCAPE_BYTES = 6   /* what a byte of a symbol may become */
};

static inline size_t bar_line_max_bytes(size_t symbol_bytes)
{
    return BAR_LINE_OTHER_BYTES + BAR_LINE_ESCAPE_BYTES * symbol_bytes;
}

/* Returns how many bytes the line has; `to` has room for bar_line_max_bytes(). `symbol` is UTF-8. */
size_t bar_line(char *to, const struct bar *bar, const uint8_t *symbol, size_t symbol_bytes);

#endif

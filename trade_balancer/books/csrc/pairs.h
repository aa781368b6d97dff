/* Levels as most venues write them: ["61837.63","3.788"], the price and the size, and perhaps more behind them. */
#ifndef PAIRS_H
#define PAIRS_H

#include "entries.h"
#include "place.h"

entry_reader pair_read;

/* Notes where the arrays of both sides are. Returns false where one is none. */
bool pairs_set(update *out, const struct json_value *bids, const struct json_value *asks);

/* The same for two members that are guessed to stand side by side, such as `"bids":` and `],"asks":`; place is before the first, and then at
 * the second's array. */
bool pairs_guess(struct place *place, update *out, const char *bids, const char *asks);

/* form.levels of an array of pairs: reads two plain decimals per level as long as there are such, and begins anew with pair_read() where
 * there is anything else, once the array is proven to be JSON. The text at of->end - 1 is a '}'. */
ptrdiff_t pairs_levels(const update *of, side which, scale by, level *out, size_t limit);

#endif

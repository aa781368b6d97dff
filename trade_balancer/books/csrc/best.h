/* A venue's best bid and ask, four values among the members of a message. */
#ifndef BEST_H
#define BEST_H

#include "json.h"
#include "update.h"

/* Notes where the values stand. Returns false where one is neither a number nor a string. */
bool best_set(update *out, side which, const struct json_value *price, const struct json_value *size);

/* form.levels of what best_set() noted: one level or none. */
ptrdiff_t best_levels(const update *of, side which, scale by, level *out, size_t limit);

#endif

/* The levels of a message that are entries of an array of JSON, one by one. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "json.h"
#include "update.h"

/* Reads what one entry says. Returns 1 with the level, 0 where it is of the other side, or an error. */
typedef int entry_reader(const struct json_value *entry, side which, scale by, level *out);

struct entries {
    struct json_reader reader;
    entry_reader *read;
    side which;
    scale by;
    bool has_zeros; /* a size of 0 says that a level is gone; elsewhere it is none */
};

/* From where the update has that side's array on, which is JSON. */
struct entries entries_of(const update *of, side which, scale by, entry_reader *read);

/* Returns 1 with the next level, 0 when there is none any more, or an error. */
int entries_next(struct entries *entries, level *out);

/* All of them, as form.levels has it. */
ptrdiff_t entries_read(struct entries *entries, level *out, size_t limit);

/* The two decimals of a level; what entry readers end with. */
int level_read(const struct json_value *price, const struct json_value *size, scale by, level *out);

#endif

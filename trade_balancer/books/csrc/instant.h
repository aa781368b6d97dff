/* Points in time as text. */
#ifndef INSTANT_H
#define INSTANT_H

#include "json.h"
#include "update.h"

/* A string in the form of RFC 3339, 2023-02-09T20:32:50.714964855Z, as ns since 1970; digits behind the ninth are left out. Returns false of what
 * is none, or before 1970 or behind 2261. */
bool instant_read(const struct json_value *string, int64_t *time_ns);

/* So many units since 1970. Returns false where that is more ns than fit. */
bool instant_of(uint64_t count, int64_t unit_ns, int64_t *time_ns);

#endif

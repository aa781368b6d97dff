/* Law: what is found in a record is the whole text of a string in it. */
#ifndef INSIDE_H
#define INSIDE_H

#include "input.h"
#include "json_member.h"

static inline void require_inside(const uint8_t *record, size_t length, const struct json_span *span)
{
    REQUIRE(span->bytes > record && span->bytes + span->length < record + length);
    REQUIRE(span->bytes[-1] == '"' && span->bytes[span->length] == '"');
}

#endif

/* A place in a message whose layout is guessed. What does not stand there moves it nowhere: then the guess was wrong, and json.h has to read it.
 *
 * A message that is guessed at ends in '}', which nothing here moves behind: so no byte is read behind it. */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct place {
    const uint8_t *at, *end;
};

enum { PLACE_DIGITS_MAX = 18 };

static inline bool place_take_bytes(struct place *place, const char *text, size_t length)
{
    if ((size_t)(place->end - place->at) < length || memcmp(place->at, text, length))
        return false;
    place->at += length;
    return true;
}

/* Of a literal. */
#define place_take(place, text) place_take_bytes(place, text, sizeof(text) - 1)

/* A whole number as JSON writes it. */
static inline bool place_take_number(struct place *place, uint64_t *number)
{
    const uint8_t *begin = place->at;
    *number = 0;
    while (*place->at >= '0' && *place->at <= '9' && place->at - begin < PLACE_DIGITS_MAX)
        *number = *number * 10 + (uint64_t)(*place->at++ - '0');
    return place->at > begin && (*begin != '0' || place->at == begin + 1);
}

/* Moves to the byte `until`, over letters of a string that stand for themselves. */
static inline bool place_take_until(struct place *place, uint8_t until)
{
    while (*place->at >= ' ' && *place->at != until && *place->at != '"' && *place->at != '\\' && *place->at != '}' && *place->at < 0x80)
        place->at++;
    return *place->at == until;
}

/* Moves to `behind`, which ends with the next ':' of the message. So there is no other name of a member before it: in JSON, what stands
 * there is the next member of the same object. */
static inline bool place_find_bytes(struct place *place, const char *behind, size_t length)
{
    const uint8_t *colon = memchr(place->at, ':', (size_t)(place->end - place->at));
    if (!colon || (size_t)(colon + 1 - place->at) < length || memcmp(colon + 1 - length, behind, length))
        return false;
    place->at = colon + 1 - length;
    return true;
}

#define place_find(place, behind) place_find_bytes(place, behind, sizeof(behind) - 1)

/* Moves to `tail`, with which the message ends, and before which no member has a name. */
static inline bool place_find_tail_bytes(struct place *place, const char *tail, size_t length)
{
    const size_t left = (size_t)(place->end - place->at);
    if (left < length || memcmp(place->end - length, tail, length) || memchr(place->at, ':', left))
        return false;
    place->at = place->end - length;
    return true;
}

#define place_find_tail(place, tail) place_find_tail_bytes(place, tail, sizeof(tail) - 1)

#endif

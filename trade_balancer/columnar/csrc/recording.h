/* Records as lines, and back: what a block of a recording holds (docs/recording.md). Parsing of hostile bytes: no system call, no memory. */
#ifndef RECORDING_H
#define RECORDING_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
struct recording_lines {
    uint64_t records;
    uint64_t newlines; /* line feeds inside of records: each stands as a space in the lines */
    uint64_t markers;  /* of a reader, {"ev":"lb","dropped":N}, among the records */
    uint64_t dropped;  /* what they add up to */
};

/* Writes the records of whole frames, a line feed behind each; `to` has room for `length` bytes, which is more than that takes. Adds to
 * `lines`. Returns how many bytes were written, or -1 where the last frame is not whole; `to` and `lines` hold those before it then. */
int64_t recording_lines(const uint8_t *frames, size_t length, uint8_t *to, struct recording_lines *lines);

/* Writes each line of a text as a frame; `to` has room for `room` bytes, of which a line takes three more than in the text. Returns how many
 * lines that were, or -1 where the last one has no end, or there is no room. */
int64_t recording_frames(const uint8_t *text, size_t length, uint8_t *to, size_t room);
/* cffi: end */

#endif

/* Decoding with each kind of vectors, and which of them this CPU has. */
#ifndef FAST_RUN_H
#define FAST_RUN_H

#include "decoder.h"

enum {
    FRAME_LENGTH_BYTES = 4,
    FAST_PAD_BYTES = 64, /* may be read behind the frames, but are never used */
    RECORD_WORDS = 4 /* of 64 bits, a bit for each byte of a record of the fast path */
};

int fast_has_avx2(void);
int fast_has_avx512(void);

/* Decode whole frames, FAST_PAD_BYTES before the end of readable memory. Return 0, COLUMNS_FULL or an error; *consumed_bytes tells how far they came. */
int fast_decode_baseline(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                         size_t *consumed_bytes);
int fast_decode_avx2(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                     size_t *consumed_bytes);
int fast_decode_avx512(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *bytes, size_t length,
                       size_t *consumed_bytes);

/* Decodes a record that the fast path has left, and learns its layout where that was what it lacked. Returns 0, COLUMNS_FULL or an error. */
int take_exactly(struct columns_decoder *decoder, struct columns_block *block, const uint8_t *record, size_t length, int is_new_layout);

#endif

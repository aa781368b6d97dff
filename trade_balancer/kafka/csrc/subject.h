/* What a record is about: its event and its symbol, the first strings among its members that are called so.
 *
 * Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing. */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stddef.h>
#include <stdint.h>

/* cffi: begin */
struct subject {
    const uint8_t *event, *symbol; /* as the record spells them, between the quotes */
    size_t event_bytes, symbol_bytes;      /* 0: there is none */
};

struct subject subject_of(const uint8_t *record, size_t bytes);
/* cffi: end */

#endif

/* Law: reads the caller's bytes, makes no system call, allocates nothing. RFC 3629 section 4: no overlong form, no
 * surrogate, nothing above U+10FFFF. A character may be cut anywhere between two calls. */
#ifndef UTF8_H
#define UTF8_H

#include <stdint.h>

/* All zero between two characters. */
struct utf8 {
    uint8_t needed; /* continuation bytes still to come */
    uint8_t lowest; /* bounds of the next continuation byte */
    uint8_t highest;
};

/* Returns 1 while the bytes so far can be UTF-8, 0 from the first that cannot. */
static inline int utf8_accept(struct utf8 *utf8, uint8_t byte)
{
    if (utf8->needed) {
        if (byte < utf8->lowest || byte > utf8->highest)
            return 0;
        utf8->needed--;
        utf8->lowest = 0x80;
        utf8->highest = 0xBF;
        return 1;
    }
    if (byte < 0x80)
        return 1;
    if (byte < 0xC2 || byte > 0xF4)
        return 0;
    utf8->needed = (uint8_t)(byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3);
    utf8->lowest = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
    utf8->highest = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    return 1;
}

#endif

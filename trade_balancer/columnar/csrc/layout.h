/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps all state in struct layouts.
 *
 * A layout is the order of members that a record of an event was seen with. The fast path guesses one by event and number of members, and
 * proves the guess by comparing all names. Layouts are learned from records that the exact decoder has accepted; when there are too many,
 * all are forgotten, and those of the day come back with their next records. */
#ifndef LAYOUT_H
#define LAYOUT_H

#include "columns.h"
#include "text.h"

enum {
    LAYOUTS_MAX = 64,
    LAYOUT_MEMBERS_MAX = 32,
    LAYOUT_TEXT_BYTES = 31,
    NAMES_AT_ONCE = 8,      /* are compared: there are so many zeros behind them */
    RECORD_HEAD_BYTES = 7   /* of {"ev":" */
};

#define RECORD_HEAD "{\"ev\":\""

/* How a record of an event goes on behind the head: `T","`. */
struct event_head {
    uint64_t word;
    uint64_t mask;
};

/* A member's name as it stands in a record, from the comma to the colon: `,"name":`. */
struct layout_text {
    uint8_t length;
    uint8_t bytes[LAYOUT_TEXT_BYTES];
};

/* Where the value of a column is: behind the name of this member, and before the text of the next. */
struct layout_value {
    uint8_t member;          /* 0, which is "ev": the records have no such member */
    uint8_t next_text_bytes; /* 0 for the last one */
};

struct layout {
    uint32_t present; /* a bit for each column that there is a member of */
    uint8_t members;  /* the first is "ev" */
    uint8_t next;     /* another layout of the same event and number of members, counted from 1; 0 for none */
    uint8_t longs;    /* members whose text is longer than a word */
    struct layout_value value[COLUMNS_MAX];
    uint64_t word[LAYOUT_MEMBERS_MAX + NAMES_AT_ONCE]; /* the last 8 bytes of each text, or all of it in the highest bytes */
    uint64_t mask[LAYOUT_MEMBERS_MAX + NAMES_AT_ONCE];
    uint8_t is_long[LAYOUT_MEMBERS_MAX];
    struct layout_text text[LAYOUT_MEMBERS_MAX];
};

struct layouts {
    uint32_t count;
    uint8_t first[COLUMNS_EVENTS_MAX][LAYOUT_MEMBERS_MAX + 1]; /* by event and number of members, counted from 1; 0 for none */
    struct layout layout[LAYOUTS_MAX];
};

/* Fills in the head of an event. Returns 0 where its name is too long for one. */
int event_head_init(struct event_head *head, const char *name);

/* Learns the layout of a record of the event, which is known to be an object. Returns 1, or 0 where the fast path would have no use for it. */
int layouts_learn(struct layouts *layouts, uint32_t number, const struct columns_event *event, const uint8_t *record, size_t length);

#endif

#include "events.h"

enum { BEGUN = 1 }; /* update.note */

void events_begin(update *out, const struct json_value *array)
{
    out->more = array->bytes;
    out->note = 0;
}

int events_next(update *of, struct json_value *event)
{
    struct json_reader reader = {.at = of->more, .end = of->end, .is_begun = of->note};
    if (!of->more || !json_next_item(&reader, event)) {
        of->more = NULL;
        return 0;
    }
    of->more = reader.at;
    of->note = BEGUN;
    return event->type == JSON_OBJECT ? 1 : BOOKS_EMALFORMED;
}

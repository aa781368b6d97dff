#include "best.h"
#include "entries.h"

static const uint8_t *begin_of(const struct json_value *value)
{
    const uint8_t *bytes = value->bytes;
    return value->type == JSON_STRING ? bytes - 1 : value->type == JSON_NUMBER ? bytes : NULL;
}

bool best_set(update *out, side which, const struct json_value *price, const struct json_value *size)
{
    out->price[which] = begin_of(price);
    out->size[which] = begin_of(size);
    return out->price[which] && out->size[which];
}

static bool read_again(const uint8_t *begin, const uint8_t *end, struct json_value *value)
{
    struct json_reader reader = json_reader(begin, (size_t)(end - begin));
    return json_take_value(&reader, value);
}

ptrdiff_t best_levels(const update *of, side which, scale by, level *out, size_t limit)
{
    struct json_value price, size;
    level best;
    if (limit == 0)
        return 0;
    if (!read_again(of->price[which], of->end, &price) || !read_again(of->size[which], of->end, &size))
        return BOOKS_EMALFORMED;
    const int rc = level_read(&price, &size, by, &best);
    if (rc < 0 || best.price == 0 || best.size == 0)
        return rc < 0 ? rc : 0;
    *out = best;
    return 1;
}

#include "entries.h"
#include "members.h"

struct entries entries_of(const update *of, side which, scale by, entry_reader *read)
{
    const uint8_t *array = of->price[which];
    return (struct entries){
        .reader = json_reader(array, (size_t)(of->end - array)),
        .read = read,
        .which = which,
        .by = by,
        .has_zeros = of->kind == UPDATE_DIFFERENCE,
    };
}

int entries_next(struct entries *entries, level *out)
{
    struct json_value entry;
    while (json_next_item(&entries->reader, &entry)) {
        const int rc = entries->read(&entry, entries->which, entries->by, out);
        if (rc < 0)
            return rc;
        if (rc == 1 && out->price != 0 && (out->size != 0 || entries->has_zeros))
            return 1;
    }
    return 0;
}

ptrdiff_t entries_read(struct entries *entries, level *out, size_t limit)
{
    size_t count = 0;
    while (count < limit) {
        const int rc = entries_next(entries, &out[count]);
        if (rc <= 0)
            return rc < 0 ? rc : (ptrdiff_t)count;
        count++;
    }
    return (ptrdiff_t)count;
}

int level_read(const struct json_value *price, const struct json_value *size, scale by, level *out)
{
    int rc = value_read_decimal(price, by.price_decimals, &out->price);
    if (rc == 0)
        rc = value_read_decimal(size, by.size_decimals, &out->size);
    if (rc < 0)
        return rc;
    return out->price < 0 || out->size < 0 ? BOOKS_EMALFORMED : 1;
}

#include "layout.h"
#include "json.h"

int event_head_init(struct event_head *head, const char *name)
{
    uint8_t text[16] = {0};
    const size_t length = strnlen(name, sizeof((struct columns_event *)0)->name);
    if (length == 0 || length > sizeof head->word - 3)
        return 0;
    memcpy(text, name, length);
    memcpy(text + length, "\",\"", 3);
    head->word = load_64(text);
    head->mask = length + 3 == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * (length + 3)) - 1;
    return 1;
}

/* Any other character could make the text of one member look like the end of another. */
static int is_plain_name(const struct json_value *name)
{
    if (name->length == 0)
        return 0;
    for (size_t i = 0; i < name->length; i++) {
        const uint8_t letter = name->bytes[i] | 0x20;
        if (!(letter >= 'a' && letter <= 'z') && name->bytes[i] != '_')
            return 0;
    }
    return 1;
}

static int is_repeated(const struct layout *layout, const struct layout_text *text)
{
    for (uint32_t i = 0; i < layout->members; i++)
        if (layout->text[i].length == text->length && !memcmp(layout->text[i].bytes, text->bytes, text->length))
            return 1;
    return 0;
}

/* Adds the name of a member. Returns 0 where the fast path can't have it. */
static int add_name(struct layout *layout, const struct json_value *name)
{
    const size_t length = name->length + 4;
    if (layout->members == LAYOUT_MEMBERS_MAX || length > LAYOUT_TEXT_BYTES || !is_plain_name(name))
        return 0;
    struct layout_text text = {.length = (uint8_t)length};
    memcpy(text.bytes, ",\"", 2);
    memcpy(text.bytes + 2, name->bytes, name->length);
    memcpy(text.bytes + 2 + name->length, "\":", 2);
    if (is_repeated(layout, &text))
        return 0;
    uint8_t last[8] = {0};
    const size_t compared = length < sizeof last ? length : sizeof last;
    memcpy(last + sizeof last - compared, text.bytes + length - compared, compared);
    layout->word[layout->members] = load_64(last);
    layout->mask[layout->members] = UINT64_MAX << 8 * (sizeof last - compared);
    layout->text[layout->members] = text;
    if (length > sizeof last)
        layout->is_long[layout->longs++] = layout->members;
    layout->members++;
    return 1;
}

/* Finds the member of each column. */
static void add_values(struct layout *layout, const struct columns_event *event)
{
    for (uint32_t column = 0; column < event->columns; column++) {
        const char *member = event->column[column].member;
        const size_t length = strlen(member);
        for (uint32_t i = 1; i < layout->members; i++) {
            if (layout->text[i].length != length + 4 || memcmp(layout->text[i].bytes + 2, member, length))
                continue;
            const int is_last = i + 1 == layout->members;
            layout->value[column] = (struct layout_value){(uint8_t)i, is_last ? 0 : layout->text[i + 1].length};
            layout->present |= UINT32_C(1) << column;
        }
    }
}

/* Fills in the layout of a record that is known to be an object of the event. Returns 0 where the fast path has no use for it. */
static int read_layout(struct layout *layout, const struct columns_event *event, const uint8_t *record, size_t length)
{
    struct json_reader reader = json_reader(record, length);
    struct json_value name, value;
    const uint8_t *behind = record;
    if (length < RECORD_HEAD_BYTES || memcmp(record, RECORD_HEAD, RECORD_HEAD_BYTES))
        return 0;
    while (json_next_member(&reader, &name, &value) == 1) {
        const size_t quotes = value.type == JSON_STRING ? 2 : 0;
        const int has_white_space = (size_t)(reader.at - behind) != name.length + 4 + value.length + quotes;
        if (has_white_space || name.has_escapes || !add_name(layout, &name))
            return 0;
        behind = reader.at;
    }
    add_values(layout, event);
    return behind + 1 == record + length && layout->members >= 2;
}

/* Whether the event has it already: the records of one group are all looked at before the first of them is learned from. */
static int is_known(const struct layouts *layouts, uint32_t number, const struct layout *layout)
{
    for (uint32_t i = layouts->first[number][layout->members]; i; i = layouts->layout[i - 1].next)
        if (!memcmp(layouts->layout[i - 1].text, layout->text, layout->members * sizeof *layout->text))
            return 1;
    return 0;
}

int layouts_learn(struct layouts *layouts, uint32_t number, const struct columns_event *event, const uint8_t *record, size_t length)
{
    struct layout layout = {0};
    if (!read_layout(&layout, event, record, length) || is_known(layouts, number, &layout))
        return 0;
    if (layouts->count == LAYOUTS_MAX)
        memset(layouts, 0, sizeof *layouts);
    uint8_t *first = &layouts->first[number][layout.members];
    layout.next = *first;
    layouts->layout[layouts->count++] = layout;
    *first = (uint8_t)layouts->count;
    return 1;
}

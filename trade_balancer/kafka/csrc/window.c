#include "window.h"

#include <stdlib.h>
#include <string.h>

int window_open(struct window *window, uint32_t records, size_t text_bytes)
{
    window->room = records;
    window->text_room = text_bytes;
    window->table_mask = 2 * records - 1;
    window->text = malloc(text_bytes);
    window->records = calloc(records, sizeof *window->records);
    window->groups = calloc(records, sizeof *window->groups);
    window->table = calloc(2 * (size_t)records, sizeof *window->table);
    return window->text && window->records && window->groups && window->table ? 0 : -1;
}

void window_close(struct window *window)
{
    free(window->text);
    free(window->records);
    free(window->groups);
    free(window->table);
}

bool window_has_room(const struct window *window, size_t bytes)
{
    return window->count == 0 || (window->count < window->room && bytes <= window->text_room - window->text_bytes);
}

static uint32_t hash_of(uint32_t pipe, uint32_t topic, const uint8_t *key, size_t bytes)
{
    uint32_t hash = 2166136261u ^ (pipe * 31 + topic); /* FNV-1a */
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ key[i]) * 16777619u;
    return hash ^ hash >> 15;
}

static size_t keep(struct window *window, const uint8_t *bytes, size_t count)
{
    const size_t offset = window->text_bytes;
    memcpy(window->text + offset, bytes, count);
    window->text_bytes += count;
    return offset;
}

static bool make_room(struct window *window, size_t bytes)
{
    if (bytes <= window->text_room - window->text_bytes)
        return true;
    uint8_t *larger = realloc(window->text, window->text_bytes + bytes);
    if (larger == NULL)
        return false;
    window->text = larger;
    window->text_room = window->text_bytes + bytes;
    return true;
}

static bool is_of(const struct window *window, const struct window_group *group, uint32_t pipe, uint32_t topic, const struct subject *subject)
{
    return group->pipe == pipe && group->topic == topic && group->key_bytes == subject->symbol_bytes &&
           memcmp(window->text + group->key_offset, subject->symbol, subject->symbol_bytes) == 0;
}

static struct window_group *group_of(struct window *window, uint32_t pipe, uint32_t topic, const struct subject *subject)
{
    uint32_t slot = hash_of(pipe, topic, subject->symbol, subject->symbol_bytes) & window->table_mask;
    for (; window->table[slot]; slot = (slot + 1) & window->table_mask) {
        struct window_group *group = &window->groups[window->table[slot] - 1];
        if (is_of(window, group, pipe, topic, subject))
            return group;
    }
    struct window_group *group = &window->groups[window->group_count++];
    window->table[slot] = window->group_count;
    *group = (struct window_group){
        .key_offset = keep(window, subject->symbol, subject->symbol_bytes),
        .key_bytes = (uint32_t)subject->symbol_bytes,
        .pipe = pipe,
        .topic = topic,
        .first = WINDOW_NONE,
        .last = WINDOW_NONE,
        .slot = slot,
    };
    return group;
}

int window_add(struct window *window, uint32_t pipe, uint32_t topic, const struct subject *subject, const uint8_t *record, size_t bytes,
               uint64_t number)
{
    if (!make_room(window, bytes + subject->symbol_bytes))
        return -1;
    struct window_group *group = group_of(window, pipe, topic, subject);
    const uint32_t place = window->count++;
    window->records[place] = (struct window_record){number, keep(window, record, bytes), (uint32_t)bytes, WINDOW_NONE};
    if (group->last == WINDOW_NONE)
        group->first = place;
    else
        window->records[group->last].next = place;
    group->last = place;
    return 0;
}

void window_clear(struct window *window)
{
    for (uint32_t i = 0; i < window->group_count; i++)
        window->table[window->groups[i].slot] = 0;
    window->text_bytes = 0;
    window->count = window->group_count = window->handed_over = 0;
}

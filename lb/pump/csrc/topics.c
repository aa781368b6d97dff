#include "topics.h"

#include <stdlib.h>

enum { LEAST_SLOTS = 64 };

static void merge(struct wanted *into, struct wanted by)
{
    into->readers |= by.readers;
    into->pipes |= by.pipes;
}

void topics_clear(struct topics *topics, int pipes_want_all)
{
    const struct wanted all = {.pipes = pipes_want_all != 0};
    topics->all = all;
    for (int letter = 0; letter < 256; letter++)
        topics->by_letter[letter] = all;
    memset(topics->has_keys, 0, sizeof topics->has_keys);
    free(topics->slots);
    topics->slots = NULL;
    topics->slots_mask = topics->count = topics->text_bytes = 0;
}

void topics_free(struct topics *topics)
{
    free(topics->slots);
    free(topics->text);
}

static uint64_t hash_of(struct topic_word kind, struct topic_word key)
{
    uint64_t hash = shard_hash(key.bytes, key.length);
    for (size_t at = 0; at < kind.length; at++)
        hash = shard_step(hash, kind.bytes[at]);
    return hash;
}

/* The topic, or the free place where it would be. */
static struct topic *
find(const struct topics *topics, uint64_t hash, struct topic_word kind, struct topic_word key)
{
    uint32_t at = (uint32_t)(hash >> 32) & topics->slots_mask;
    for (;; at = (at + 1) & topics->slots_mask) {
        struct topic *topic = &topics->slots[at];
        const uint8_t *text = topics->text + topic->text_at;
        if (!topic->is_used ||
            (topic->hash == hash && topic->has_key == (key.bytes != NULL) && topic->kind_bytes == kind.length &&
             topic->key_bytes == key.length && !memcmp(text, kind.bytes, kind.length) &&
             (!key.length || !memcmp(text + kind.length, key.bytes, key.length))))
            return topic;
    }
}

/* Makes the table twice as large. */
static int grow(struct topics *topics)
{
    const uint32_t before = topics->slots ? topics->slots_mask + 1 : 0;
    const uint32_t after = before ? 2 * before : LEAST_SLOTS;
    struct topic *slots = calloc(after, sizeof *slots);
    if (!slots)
        return -1;
    for (uint32_t at = 0; at < before; at++) {
        if (!topics->slots[at].is_used)
            continue;
        uint32_t to = (uint32_t)(topics->slots[at].hash >> 32) & (after - 1);
        while (slots[to].is_used)
            to = (to + 1) & (after - 1);
        slots[to] = topics->slots[at];
    }
    free(topics->slots);
    topics->slots = slots;
    topics->slots_mask = after - 1;
    return 0;
}

static int keep_text(struct topics *topics, struct topic_word word)
{
    const uint64_t wanted = (uint64_t)topics->text_bytes + word.length;
    if (wanted > topics->text_capacity) {
        const uint64_t capacity = 2 * wanted;
        uint8_t *text = capacity > UINT32_MAX ? NULL : realloc(topics->text, capacity);
        if (!text)
            return -1;
        topics->text = text;
        topics->text_capacity = (uint32_t)capacity;
    }
    if (word.length)
        memcpy(topics->text + topics->text_bytes, word.bytes, word.length);
    topics->text_bytes += (uint32_t)word.length;
    return 0;
}

int topics_add(struct topics *topics, struct wanted by, struct topic_word kind, struct topic_word key)
{
    if (!kind.bytes) {
        merge(&topics->all, by);
        for (int letter = 0; letter < 256; letter++)
            merge(&topics->by_letter[letter], by);
        return 0;
    }
    if (2 * topics->count >= topics->slots_mask && grow(topics) < 0)
        return -1;
    const uint64_t hash = hash_of(kind, key);
    const uint32_t text_at = topics->text_bytes;
    struct topic *topic = find(topics, hash, kind, key);
    if (!topic->is_used) {
        if (keep_text(topics, kind) < 0 || keep_text(topics, key) < 0)
            return -1;
        *topic = (struct topic){.hash = hash, .text_at = text_at, .kind_bytes = (uint32_t)kind.length,
                                .key_bytes = (uint32_t)key.length, .has_key = key.bytes != NULL, .is_used = 1};
        topic->letter = key.bytes && kind.length == 1 ? *kind.bytes : 0;
        if (key.length)
            memcpy(&topic->key_begin, key.bytes, key.length < sizeof topic->key_begin ? key.length : sizeof topic->key_begin);
        topics->count++;
    }
    merge(&topic->by, by);
    if (kind.length == 1 && key.bytes)
        topics->has_keys[*kind.bytes] = 1;
    else if (kind.length == 1)
        merge(&topics->by_letter[*kind.bytes], by);
    return 0;
}

struct wanted topics_of(const struct topics *topics, struct topic_word kind, struct topic_word key)
{
    struct wanted wanted = topics->all;
    if (!topics->slots || !kind.bytes)
        return wanted;
    const struct topic_word any = {NULL, 0};
    merge(&wanted, find(topics, hash_of(kind, any), kind, any)->by);
    if (key.bytes)
        merge(&wanted, find(topics, hash_of(kind, key), kind, key)->by);
    return wanted;
}

/* Law: reads the caller's bytes, makes no system call but for its memory, keeps no global.
 *
 * Who wants a record: topics are a kind of record (an event) and perhaps a key (a symbol). One hash of the
 * key decides for all readers, whose bits stand beside each topic. */
#ifndef TOPICS_H
#define TOPICS_H

#include "shard.h"

struct wanted {
    uint64_t readers; /* a bit for each */
    uint8_t pipes;
};

struct topic {
    uint64_t hash;
    struct wanted by;
    uint64_t key_begin; /* the key's first eight bytes, zero behind a shorter one: most keys need no look at the text */
    uint32_t text_at;   /* the kind, and behind it the key */
    uint32_t kind_bytes;
    uint32_t key_bytes;
    uint8_t letter;     /* where there is a key: the kind, if that has one letter */
    uint8_t has_key;
    uint8_t is_used;
};

struct topics {
    struct wanted all;            /* of any record */
    struct wanted by_letter[256]; /* of kinds of one letter, whatever the key; with `all` */
    uint8_t has_keys[256];        /* whether there are topics of that kind that have a key */
    struct topic *slots;          /* a hash table with open addresses; at least half of it is free */
    uint32_t slots_mask;
    uint32_t count;
    uint8_t *text;
    uint32_t text_bytes, text_capacity;
};

/* A record's, and a topic's, kind or key. bytes NULL: none, any. */
struct topic_word {
    const uint8_t *bytes;
    size_t length;
};

/* Forgets all topics. From then on pipes want every record, or what topics_add() says. */
void topics_clear(struct topics *topics, int pipes_want_all);
void topics_free(struct topics *topics);

/* Returns 0, or -1 for want of memory. */
int topics_add(struct topics *topics, struct wanted by, struct topic_word kind, struct topic_word key);

/* Who wants a record of this kind and key. */
struct wanted topics_of(const struct topics *topics, struct topic_word kind, struct topic_word key);

/* Whether it is the topic's key that begins there, up to the byte `end`. Reads eight bytes. */
static inline __attribute__((always_inline)) int
topics_is_key(const struct topics *topics, const struct topic *topic, const uint8_t *key, uint8_t end)
{
    uint64_t begin;
    memcpy(&begin, key, sizeof begin);
    if (topic->key_bytes < sizeof begin)
        return topic->key_begin == (begin & ((UINT64_C(1) << 8 * topic->key_bytes) - 1)) && key[topic->key_bytes] == end;
    const uint8_t *text = topics->text + topic->text_at + topic->kind_bytes;
    return topic->key_begin == begin && !memcmp(text, key, topic->key_bytes) && key[topic->key_bytes] == end;
}

/* The same for a kind of one letter, and a key up to the byte `end` with its shard_hash(). */
static inline __attribute__((always_inline)) struct wanted
topics_of_letter(const struct topics *topics, uint8_t letter, const uint8_t *key, uint8_t end, uint64_t key_hash)
{
    struct wanted wanted = topics->by_letter[letter];
    if (!topics->has_keys[letter])
        return wanted;
    const uint64_t hash = shard_step(key_hash, letter);
    for (uint32_t at = (uint32_t)(hash >> 32) & topics->slots_mask; topics->slots[at].is_used; at = (at + 1) & topics->slots_mask) {
        const struct topic *topic = &topics->slots[at];
        if (topic->hash == hash && topic->letter == letter && topics_is_key(topics, topic, key, end)) {
            wanted.readers |= topic->by.readers;
            wanted.pipes |= topic->by.pipes;
            break;
        }
    }
    return wanted;
}

#endif

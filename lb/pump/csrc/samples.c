#include "samples.h"
#include "shard.h"

#include <string.h>

void samples_note(struct pump *pump, const uint8_t *kind, size_t kind_bytes, const uint8_t *record, size_t length)
{
    const uint64_t hash = shard_hash(kind, kind_bytes);
    for (uint32_t i = 0; i < pump->sample_count; i++)
        if (pump->samples[i].kind_hash == hash)
            return;
    if (pump->sample_count == PUMP_SAMPLES_MAX)
        return;
    struct pump_sample *sample = &pump->samples[pump->sample_count++];
    sample->kind_hash = hash;
    sample->length = length < PUMP_SAMPLE_BYTES ? length : PUMP_SAMPLE_BYTES;
    memcpy(sample->bytes, record, sample->length);
}

int pump_sample(const struct pump *pump, uint32_t index, struct pump_sample *sample)
{
    if (index >= pump->sample_count)
        return 0;
    *sample = pump->samples[index];
    return 1;
}

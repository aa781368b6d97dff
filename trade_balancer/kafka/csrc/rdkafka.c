#include "rdkafka.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define FUNCTION(name) {"rd_kafka_" #name, offsetof(struct rdkafka, name)}

static const struct {
    const char *name;
    size_t offset;
} FUNCTIONS[] = {
    FUNCTION(conf_new), FUNCTION(conf_destroy), FUNCTION(conf_set),
    FUNCTION(conf_set_events), FUNCTION(new), FUNCTION(destroy),
    FUNCTION(purge), FUNCTION(topic_new), FUNCTION(topic_destroy),
    FUNCTION(produceva), FUNCTION(error_code), FUNCTION(error_destroy),
    FUNCTION(err2str), FUNCTION(queue_get_main), FUNCTION(queue_poll),
    FUNCTION(queue_destroy), FUNCTION(event_type), FUNCTION(event_message_next),
    FUNCTION(event_error), FUNCTION(event_error_string), FUNCTION(event_error_is_fatal),
    FUNCTION(event_destroy), FUNCTION(conf_set_opaque), FUNCTION(conf_set_rebalance_cb),
    FUNCTION(conf_set_error_cb), FUNCTION(poll_set_consumer), FUNCTION(queue_get_consumer),
    FUNCTION(subscribe), FUNCTION(consume_batch_queue), FUNCTION(message_destroy),
    FUNCTION(message_timestamp), FUNCTION(message_headers), FUNCTION(header_get_last),
    FUNCTION(topic_name), FUNCTION(topic_partition_list_new), FUNCTION(topic_partition_list_copy),
    FUNCTION(topic_partition_list_add), FUNCTION(topic_partition_list_destroy), FUNCTION(assignment),
    FUNCTION(assignment_lost), FUNCTION(assign), FUNCTION(incremental_assign),
    FUNCTION(incremental_unassign), FUNCTION(rebalance_protocol), FUNCTION(pause_partitions),
    FUNCTION(resume_partitions), FUNCTION(offsets_store), FUNCTION(commit),
    FUNCTION(get_watermark_offsets), FUNCTION(fatal_error), FUNCTION(consumer_close),
};

_Static_assert(sizeof FUNCTIONS / sizeof *FUNCTIONS == sizeof(struct rdkafka) / sizeof(void *), "a name for each function");

int rdkafka_find(struct rdkafka *functions, const char *file, char *text, size_t text_bytes)
{
    void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(text, text_bytes, "%s", dlerror());
        return -1;
    }
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++) {
        void *found = dlsym(library, FUNCTIONS[i].name);
        if (found == NULL) {
            snprintf(text, text_bytes, "%s has no %s", file, FUNCTIONS[i].name);
            return -1;
        }
        memcpy((char *)functions + FUNCTIONS[i].offset, &found, sizeof found);
    }
    return 0;
}

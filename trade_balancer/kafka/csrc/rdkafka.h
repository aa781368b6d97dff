/* What is called of librdkafka: the library that the package confluent-kafka has brought and loaded, found by its path at run time.
 *
 * Names, numbers and layouts are those of its rdkafka.h, whose binary interface has stayed as it is since 1.6 (2021). */
#ifndef RDKAFKA_H
#define RDKAFKA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
    RD_KAFKA_PRODUCER = 0,
    RD_KAFKA_CONSUMER = 1,
    RD_KAFKA_CONF_OK = 0,
    RD_KAFKA_MSG_F_COPY = 2,
    RD_KAFKA_EVENT_DR = 1,
    RD_KAFKA_EVENT_ERROR = 8,
    RD_KAFKA_PURGE_F_QUEUE = 1,
    RD_KAFKA_PURGE_F_INFLIGHT = 2,
    RD_KAFKA_PARTITION_UA = -1
};

enum rd_kafka_vtype {
    RD_KAFKA_VTYPE_RKT = 2,
    RD_KAFKA_VTYPE_VALUE = 4,
    RD_KAFKA_VTYPE_KEY,
    RD_KAFKA_VTYPE_OPAQUE,
    RD_KAFKA_VTYPE_MSGFLAGS,
    RD_KAFKA_VTYPE_TIMESTAMP,
    RD_KAFKA_VTYPE_HEADER
};

enum rd_kafka_err {
    RD_KAFKA_ERR_QUEUE_FULL = -184,
    RD_KAFKA_ERR_ASSIGN_PARTITIONS = -175,
    RD_KAFKA_ERR_NO_OFFSET = -168,
    RD_KAFKA_ERR_FATAL = -150,
    RD_KAFKA_ERR_NO_ERROR = 0,
    RD_KAFKA_ERR_INVALID_MSG_SIZE = 4,
    RD_KAFKA_ERR_MSG_SIZE_TOO_LARGE = 10,
    RD_KAFKA_ERR_TOPIC_EXCEPTION = 17,
    RD_KAFKA_ERR_TOPIC_AUTHORIZATION_FAILED = 29,
    RD_KAFKA_ERR_GROUP_AUTHORIZATION_FAILED = 30,
    RD_KAFKA_ERR_INVALID_RECORD = 87
};

struct rd_kafka_message {
    int err;
    void *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *opaque;
};

struct rd_kafka_topic_partition {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata;
    size_t metadata_size;
    void *opaque;
    int err;
    void *inner;
};

struct rd_kafka_topic_partition_list {
    int cnt, size;
    struct rd_kafka_topic_partition *elems;
};

struct rd_kafka_vu {
    enum rd_kafka_vtype vtype;
    union {
        void *ptr;
        int i;
        int64_t i64;
        struct {
            void *ptr;
            size_t size;
        } mem;
        struct {
            const char *name;
            const void *val;
            ssize_t size;
        } header;
        char pad[64];
    } u;
};

/* The functions under their own names, without rd_kafka_. */
struct rdkafka {
    void *(*conf_new)(void);
    void (*conf_destroy)(void *conf);
    int (*conf_set)(void *conf, const char *name, const char *value, char *text, size_t text_bytes);
    void (*conf_set_events)(void *conf, int events);
    void *(*new)(int type, void *conf, char *text, size_t text_bytes);
    void (*destroy)(void *client);
    int (*purge)(void *client, int flags);
    void *(*topic_new)(void *client, const char *name, void *conf);
    void (*topic_destroy)(void *topic);
    void *(*produceva)(void *client, const struct rd_kafka_vu *vus, size_t count);
    int (*error_code)(const void *error);
    void (*error_destroy)(void *error);
    const char *(*err2str)(int code);
    void *(*queue_get_main)(void *client);
    void *(*queue_poll)(void *queue, int timeout_ms);
    void (*queue_destroy)(void *queue);
    int (*event_type)(const void *event);
    const struct rd_kafka_message *(*event_message_next)(void *event);
    int (*event_error)(void *event);
    const char *(*event_error_string)(void *event);
    int (*event_error_is_fatal)(void *event);
    void (*event_destroy)(void *event);

    /* Of a consumer. */
    void (*conf_set_opaque)(void *conf, void *opaque);
    void (*conf_set_rebalance_cb)(void *conf, void (*callback)(void *client, int err, struct rd_kafka_topic_partition_list *list, void *opaque));
    void (*conf_set_error_cb)(void *conf, void (*callback)(void *client, int err, const char *reason, void *opaque));
    int (*poll_set_consumer)(void *client);
    void *(*queue_get_consumer)(void *client);
    int (*subscribe)(void *client, const struct rd_kafka_topic_partition_list *list);
    ssize_t (*consume_batch_queue)(void *queue, int timeout_ms, struct rd_kafka_message **messages, size_t count);
    void (*message_destroy)(struct rd_kafka_message *message);
    int64_t (*message_timestamp)(const struct rd_kafka_message *message, int *kind);
    int (*message_headers)(const struct rd_kafka_message *message, void **headers);
    int (*header_get_last)(const void *headers, const char *name, const void **value, size_t *bytes);
    const char *(*topic_name)(const void *topic);
    struct rd_kafka_topic_partition_list *(*topic_partition_list_new)(int room);
    struct rd_kafka_topic_partition_list *(*topic_partition_list_copy)(const struct rd_kafka_topic_partition_list *list);
    struct rd_kafka_topic_partition *(*topic_partition_list_add)(struct rd_kafka_topic_partition_list *list, const char *topic, int32_t partition);
    void (*topic_partition_list_destroy)(struct rd_kafka_topic_partition_list *list);
    int (*assignment)(void *client, struct rd_kafka_topic_partition_list **list);
    int (*assignment_lost)(void *client);
    int (*assign)(void *client, const struct rd_kafka_topic_partition_list *list);
    void *(*incremental_assign)(void *client, const struct rd_kafka_topic_partition_list *list);
    void *(*incremental_unassign)(void *client, const struct rd_kafka_topic_partition_list *list);
    const char *(*rebalance_protocol)(void *client);
    int (*pause_partitions)(void *client, struct rd_kafka_topic_partition_list *list);
    int (*resume_partitions)(void *client, struct rd_kafka_topic_partition_list *list);
    int (*offsets_store)(void *client, struct rd_kafka_topic_partition_list *list);
    int (*commit)(void *client, const struct rd_kafka_topic_partition_list *list, int is_async);
    int (*get_watermark_offsets)(void *client, const char *topic, int32_t partition, int64_t *low, int64_t *high);
    int (*fatal_error)(void *client, char *text, size_t text_bytes);
    int (*consumer_close)(void *client);
};

/* Fills in the functions of the library that is this file. Returns 0, or -1 with what is missing in the text. */
int rdkafka_find(struct rdkafka *functions, const char *file, char *text, size_t text_bytes);

#endif

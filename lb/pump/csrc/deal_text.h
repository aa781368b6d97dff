/* The general path: record by record, whatever they look like. A part of layout_row.h. */

static inline uint32_t pipe_of(struct pump *pump, const uint8_t *record, size_t length)
{
    struct json_span key;
    if (pump->config.route == PUMP_ROUTE_ROUND_ROBIN)
        return pump->next_pipe;
    if (pump->config.route == PUMP_ROUTE_LEAST_BACKLOG)
        return backlog_pipe_with_room(pump, PUMP_LENGTH_BYTES + length);
    const int has_key = pump->config.route == PUMP_ROUTE_KEY
                            ? json_find_text(record, length, pump->config.key_member, &key)
                            : LAYOUT(shard_key)(record, length, &key);
    return has_key ? shard_of(key.bytes, key.length, pump->config.pipes) : 0;
}

/* Cuts the next record. Returns how, with its length, 0 when the text is used up, or an error; text_begin is moved
 * past what is done. */
static inline int cut_record(struct pump *pump, size_t *length)
{
    const uint8_t *text = pump_text(pump);
    const size_t available = pump->text_end - pump->text_begin;
    const size_t open_at = scan_open_at(&pump->scan, text, available);
    if (open_at < available) {
        *length = LAYOUT(flat_bytes)(text + open_at, available - open_at);
        if (*length) {
            scan_pass(&pump->scan, open_at);
            pump->text_begin += open_at;
            return CUT_FLAT;
        }
    }
    struct scan_span record;
    const int rc = scan_next(&pump->scan, text, available, &record);
    pump->text_begin += record.start;
    pump->counters.skipped_bytes_total += pump->scan.skipped_bytes;
    if (rc <= 0)
        return rc;
    *length = record.length;
    return open_at < available ? CUT_MISSED : CUT_EXACT;
}

/* Takes the held record, or cuts the next; as cut_record(). */
static inline int next_record(struct pump *pump, size_t *length)
{
    *length = pump->held_bytes;
    pump->held_bytes = 0;
    if (*length)
        return pump->held_cut;
    const int cut = cut_record(pump, length);
    if (cut < 0 || (cut ? *length : pump->scan.scanned) <= pump->config.max_frame_bytes)
        return cut;
    scan_skip(&pump->scan);
    return PUMP_ERR_RECORD_TOO_BIG;
}

static inline size_t deal_run(struct pump *pump)
{
    const uint8_t state = pump->scan.state;
    if (!pump->vectors || pump->held_bytes || (state != SCAN_BEHIND && state != SCAN_START))
        return 0;
    const uint8_t *text = pump_text(pump);
    return layout_run(pump)(pump, text, text + (pump->text_end - pump->text_begin), state);
}

static void note_sample(struct pump *pump, const uint8_t *record, size_t length)
{
    struct json_span kind = {record, 0};
    LAYOUT(kind)(record, length, &kind);
    samples_note(pump, kind.bytes, kind.length, record, length);
}

static struct topic_word word_of(int is_there, struct json_span span)
{
    return is_there ? (struct topic_word){span.bytes, span.length} : (struct topic_word){NULL, 0};
}

/* Who gets the record. */
static struct wanted wanted_of(const struct pump *pump, const uint8_t *record, size_t length)
{
    if (!pump->readers)
        return (struct wanted){.pipes = 1};
    struct json_span kind, key;
    const int has_kind = LAYOUT(kind)(record, length, &kind), has_key = LAYOUT(shard_key)(record, length, &key);
    return topics_of(&pump->readers->topics, word_of(has_kind, kind), word_of(has_key, key));
}

static int deal_text(struct pump *pump)
{
    while (pump->text_begin < pump->text_end) {
        size_t length;
        const size_t dealt_bytes = deal_run(pump);
        pump->text_begin += dealt_bytes;
        if (dealt_bytes)
            pump->scan.state = SCAN_BEHIND;
        const int cut = next_record(pump, &length);
        if (cut <= 0)
            return cut;
        const uint8_t *record = pump_text(pump);
        if (LAYOUT(is_notice)(record, length))
            return deal_notice(pump, length);
        const struct wanted wanted = wanted_of(pump, record, length);
        const int rc = wanted.pipes ? deal_record(pump, pipe_of(pump, record, length), record, length, cut)
                                    : deal_to_no_pipe(pump);
        if (rc)
            return rc;
        if (wanted.readers)
            readers_offer(pump->readers, wanted.readers, record, length);
        pump->counters.records_exact_total += wanted.pipes && cut != CUT_FLAT;
        if (cut == CUT_MISSED)
            note_sample(pump, record, length);
#ifdef LAYOUT_IS_TOLD
        if (LAYOUT_IS_TOLD(record, length))
            return deal_notice(pump, length);
#endif
        pump->text_begin += length;
    }
    return 0;
}

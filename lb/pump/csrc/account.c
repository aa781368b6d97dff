/* A pump's account: what another one, whose mapping looks otherwise, must know to go on, in numbers and frames.
 *
 * Law: a number's meaning is part of the account's version (lb/pump/account.py), and nothing here depends on how a mapping is laid
 * out. What is taken is proven as what is adopted is. */
#include "adopt.h"
#include "backlog.h"
#include "checkpoint.h"
#include "mapping.h"
#include "outbox.h"
#include "retain.h"
#include "spill_state.h"

#include <errno.h>

void pump_tell(const struct pump *pump, struct pump_account *account)
{
    *account = (struct pump_account){
        .counters = pump->counters,
        .next_pipe = pump->next_pipe,
        .arrivals_total = pump->newest.number,
    };
}

void pump_take(struct pump *pump, const struct pump_account *account)
{
    pump->counters = account->counters;
    pump->counters.stopped = pump->counters.full_pipe = 0;
    pump->flushed_bytes_total = pump->counters.record_bytes_total + PUMP_LENGTH_BYTES * pump->counters.records_total;
    pump->next_pipe = account->next_pipe < pump->config.pipes ? account->next_pipe : 0;
    pump->newest.number = account->arrivals_total;
    backlog_look_again(pump);
}

static void tell_spill(const struct spill *spill, struct pump_pipe_account *account)
{
    account->front_bytes = spill->tail - spill->frame;
    account->front_begun_bytes = spill->begun_bytes;
    account->spill_records = spill->records;
    account->spill_bytes = spill->bytes;
    account->read_segment = spill->read_segment;
    account->read_offset = spill->read_offset;
    account->read_index = spill->read_index;
    account->read_first = spill->read_first;
    account->write_segment = spill->write_segment;
    account->write_offset = spill->write_offset;
    account->write_index = spill->write_index;
    account->spill_written_total = spill->written_total;
    account->recovered_total = spill->recovered_total;
    account->damaged_total = spill->damaged_total;
}

void pump_tell_pipe(const struct pump *pump, uint32_t number, struct pump_pipe_account *account)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    *account = (struct pump_pipe_account){
        .dealt_total = pipe->dealt_total,
        .written_total = pipe->written_total,
        .written_bytes_total = pipe->written_bytes_total,
        .dropped_total = pipe->dropped_total,
        .dropped_bytes_total = pipe->dropped_bytes_total,
        .stopped_ns_total = pipe->stopped_ns_total,
        .acknowledged_total = pipe->acknowledged_total,
        .first_record = pipe->first_record,
        .redelivered_total = pipe->redelivered_total,
        .spilled_total = pipe->spilled_total,
        .retained_bytes = pipe->frame - retain_exact(pump, pipe),
        .waiting_bytes = pipe->tail - pipe->frame,
        .begun_bytes = pipe->head - pipe->frame,
        .is_spilled = pipe->is_spilled,
    };
    if (spill_is_on(&pump->config))
        tell_spill(spill_of(pump, number), account);
    if (!pipe->is_spilled)
        account->front_bytes = 0;
}

void pump_tell_frames(const struct pump *pump, uint32_t number, uint8_t *frames)
{
    const struct pump_pipe *pipe = &pump->pipe[number];
    const uint64_t begin = retain_exact(pump, pipe);
    memcpy(frames, pump_at(pump, begin), pipe->tail - begin);
    if (pipe->is_spilled) {
        const struct spill *spill = spill_of(pump, number);
        memcpy(frames + (pipe->tail - begin), pump_at(pump, spill->frame), spill->tail - spill->frame);
    }
}

static void take_spill(const struct pump *pump, struct spill *spill, const struct pump_pipe_account *account, const uint8_t *front)
{
    const uint64_t begin = spill->front;
    *spill = (struct spill){
        .front = begin,
        .frame = begin,
        .tail = begin + account->front_bytes,
        .begun_bytes = account->front_begun_bytes,
        .records = account->spill_records,
        .bytes = account->spill_bytes,
        .read_segment = account->read_segment,
        .read_offset = account->read_offset,
        .read_index = account->read_index,
        .read_first = account->read_first,
        .write_segment = account->write_segment,
        .write_offset = account->write_offset,
        .write_index = account->write_index,
        .written_total = account->spill_written_total,
        .recovered_total = account->recovered_total,
        .damaged_total = account->damaged_total,
    };
    memcpy(pump_at(pump, begin), front, account->front_bytes);
}

/* Whether there is room for it all. */
static int has_room(const struct pump *pump, const struct pump_pipe_account *account)
{
    const uint64_t outbox_bytes = mapping_outbox_bytes(&pump->config);
    const uint64_t front_bytes = spill_is_on(&pump->config) ? spill_front_bytes(&pump->config) : 0;
    return account->retained_bytes <= outbox_bytes && account->waiting_bytes <= outbox_bytes - account->retained_bytes &&
           account->begun_bytes <= account->waiting_bytes && account->front_bytes <= front_bytes;
}

int pump_take_pipe(struct pump *pump, uint32_t number, const struct pump_pipe_account *account, const uint8_t *frames)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    errno = EINVAL;
    if (!has_room(pump, account))
        return -1;
    pipe->dealt_total = account->dealt_total;
    pipe->written_total = account->written_total;
    pipe->written_bytes_total = account->written_bytes_total;
    pipe->dropped_total = account->dropped_total;
    pipe->dropped_bytes_total = account->dropped_bytes_total;
    pipe->stopped_ns_total = account->stopped_ns_total;
    pipe->acknowledged_total = pipe->kept_total = account->acknowledged_total;
    pipe->first_record = account->first_record;
    pipe->redelivered_total = account->redelivered_total;
    pipe->spilled_total = account->spilled_total;
    pipe->frame = pipe->kept + account->retained_bytes;
    pipe->head = pipe->frame + account->begun_bytes;
    pipe->tail = pipe->frame + account->waiting_bytes;
    pipe->is_spilled = account->is_spilled != 0;
    memcpy(pump_at(pump, pipe->kept), frames, pipe->tail - pipe->kept);
    if (spill_is_on(&pump->config))
        take_spill(pump, spill_of(pump, number), account, frames + (pipe->tail - pipe->kept));
    if (!adopt_is_pipe(pump, number))
        return -1;
    outbox_go_on(pump, number);
    checkpoint_pipe(pump, number);
    return 0;
}

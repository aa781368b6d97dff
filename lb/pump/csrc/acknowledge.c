/* What a pipe's readers say of the records they were given, and what follows for the outbox. */
#include "checkpoint.h"
#include "outbox.h"
#include "peek.h"
#include "retain.h"

int pump_acknowledge(struct pump *pump, uint32_t number, uint64_t records_total)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    if (records_total > pipe->written_total)
        return PUMP_ERR_ACKNOWLEDGED;
    if (records_total <= pipe->acknowledged_total)
        return 0;
    pipe->acknowledged_total = records_total;
    retain_no_more(pump, pipe);
    outbox_settle(pump, pipe);
    return 0;
}

void pump_listen_again(struct pump *pump, uint32_t number, int channel_fd, int reader_fd)
{
    pump->pipe[number].channel_fd = channel_fd;
    pump->pipe[number].reader_fd = reader_fd;
}

void pump_listen(struct pump *pump, uint32_t number, int channel_fd, int reader_fd)
{
    pump_listen_again(pump, number, channel_fd, reader_fd);
    pump->pipe[number].first_record = pump->pipe[number].acknowledged_total;
    checkpoint_pipe(pump, number);
}

int64_t pump_redeliver(struct pump *pump, uint32_t number, int read_fd)
{
    struct pump_pipe *pipe = &pump->pipe[number];
    int taken;
    struct peek *peek = peek_open();
    if (!peek)
        return PUMP_ERR_PIPE;
    while ((taken = peek_take(peek, read_fd)) > 0)
        ;
    peek_close(peek);
    if (taken < 0)
        return PUMP_ERR_PIPE;
    const uint64_t again = pipe->written_total - pipe->acknowledged_total;
    retain_exactly(pump, pipe);
    pipe->written_total = pipe->acknowledged_total;
    pipe->redelivered_total += again;
    pipe->head = pipe->frame = pipe->kept;
    outbox_touch(pump, pipe);
    checkpoint_pipe(pump, number);
    return (int64_t)again;
}

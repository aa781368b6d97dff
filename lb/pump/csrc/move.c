#include "move.h"

static uint64_t distance(const struct pump_move *move)
{
    return move->to < move->from ? move->from - move->to : move->to - move->from;
}

static inline void in_order(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Where the two places overlap, bytes are overwritten that are still to be moved: each part is in the scratch before. */
static void move_part(struct pump *pump, struct pump_move *move, uint64_t bytes)
{
    const uint64_t at = move->to < move->from ? move->done_bytes : move->bytes - move->done_bytes - bytes;
    if (move->scratched != move->done_bytes + 1) {
        memcpy(pump->move_scratch, pump_at(pump, move->from + at), bytes);
        in_order();
        move->scratched = move->done_bytes + 1;
        in_order();
    }
    memcpy(pump_at(pump, move->to + at), pump->move_scratch, bytes);
    in_order();
    move->done_bytes += bytes;
    in_order();
}

void move_plan(struct pump *pump, uint64_t to, uint64_t from, uint64_t bytes)
{
    pump->move = (struct pump_move){.to = to, .from = from, .bytes = to == from ? 0 : bytes};
    in_order();
    pump->move.generation = pump->generation + 1;
}

void move_go(struct pump *pump)
{
    struct pump_move *move = &pump->move;
    if (distance(move) >= move->bytes) {
        memcpy(pump_at(pump, move->to), pump_at(pump, move->from), move->bytes);
        in_order();
        move->done_bytes = move->bytes;
    }
    while (move->done_bytes < move->bytes) {
        const uint64_t left_bytes = move->bytes - move->done_bytes;
        move_part(pump, move, left_bytes < PUMP_MOVE_SCRATCH_BYTES ? left_bytes : PUMP_MOVE_SCRATCH_BYTES);
    }
    in_order();
    move->generation = 0;
}

/* Within what follows the structs. */
static int is_inside(const struct pump *pump, uint64_t offset, uint64_t bytes)
{
    return offset >= pump->input_offset && offset <= pump->mapped_bytes && bytes <= pump->mapped_bytes - offset;
}

int move_finish(struct pump *pump)
{
    struct pump_move *move = &pump->move;
    if (move->generation > pump->generation)
        move->generation = 0; /* it was not made known: it is none, for later generations too */
    if (move->generation == 0)
        return 0;
    if (!is_inside(pump, move->to, move->bytes) || !is_inside(pump, move->from, move->bytes) || move->done_bytes > move->bytes)
        return -1;
    move_go(pump);
    return 0;
}

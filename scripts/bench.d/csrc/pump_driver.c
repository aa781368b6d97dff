/* pump_driver FEED PASSES PIPES: pushes a feed file through the pump alone, PASSES times, into pipes that are /dev/null, for the
 * count of its instructions under callgrind. The file is read straight into the pump's own room, so nothing is copied here. */
#include "pump.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MAX_FRAME_BYTES (16 << 20)
#define HIGH_WATER_BYTES (4 << 20)

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void run_until(struct pump *pump, int event)
{
    int got;
    do
        got = pump_run(pump, INT64_MAX);
    while (got == PUMP_BUDGET);
    if (got != event) {
        fprintf(stderr, "the pump answered %d, expected %d\n", got, event);
        exit(1);
    }
}

static void push_pass(struct pump *pump, int feed)
{
    for (;;) {
        size_t room_bytes;
        run_until(pump, PUMP_READABLE);
        uint8_t *room = pump_room(pump, &room_bytes);
        ssize_t size = read(feed, room, room_bytes < PUMP_READ_BYTES ? room_bytes : PUMP_READ_BYTES);
        if (size < 0)
            fail("read");
        if (size == 0)
            return;
        pump_fed(pump, (size_t)size);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: pump_driver FEED PASSES PIPES\n");
        return 64;
    }
    int feed = open(argv[1], O_RDONLY), sink = open("/dev/null", O_WRONLY | O_NONBLOCK);
    if (feed < 0 || sink < 0)
        fail(argv[1]);
    struct pump_config config = {
        .pipes = (uint32_t)atoi(argv[3]),
        .route = PUMP_ROUTE_ROUND_ROBIN,
        .max_frame_bytes = MAX_FRAME_BYTES,
        .high_water_bytes = HIGH_WATER_BYTES,
        .wake_fd = eventfd(0, 0),
    };
    struct pump *pump = pump_new(&config);
    if (!pump)
        fail("pump_new");
    for (uint32_t i = 0; i < config.pipes; i++)
        pump_set_pipe(pump, i, sink);
    pump_attach(pump, PUMP_SOURCE_CALLER, feed);
    for (int pass = atoi(argv[2]); pass > 0; pass--) {
        push_pass(pump, feed);
        lseek(feed, 0, SEEK_SET);
    }
    pump_detach(pump);
    pump_drain(pump);
    run_until(pump, PUMP_DRAINED);
    struct pump_counters counters;
    pump_counters(pump, &counters);
    printf("%" PRIu64 " records, %" PRIu64 " by the exact scanner\n", counters.records_total, counters.records_exact_total);
    pump_free(pump);
    return 0;
}

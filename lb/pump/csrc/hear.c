#include "hear.h"

#include <string.h>
#include <sys/socket.h>

enum {
    PACKET_BYTES = 64, /* what is longer is no acknowledgement */
    FD_DIGITS = 9,
    RECORDS_DIGITS = 18
};

static const char ACK[] = "ACK ";

/* Reads at most so many digits and moves *at behind them. Returns -1 where there are none. */
static int64_t number_at(const char **at, int most_digits)
{
    int64_t number = -1;
    for (int digits = 0; digits < most_digits && **at >= '0' && **at <= '9'; digits++, ++*at)
        number = (number < 0 ? 0 : number * 10) + (**at - '0');
    return number;
}

/* Of a packet that ends in a NUL: the records that the reader has finished since its begin, or -1. */
static int64_t finished_records(const struct pump_pipe *pipe, const char *packet)
{
    if (strncmp(packet, ACK, sizeof ACK - 1) != 0)
        return -1;
    packet += sizeof ACK - 1;
    if (number_at(&packet, FD_DIGITS) != pipe->reader_fd || *packet++ != ' ')
        return -1;
    const int64_t records = number_at(&packet, RECORDS_DIGITS);
    return *packet == '\0' ? records : -1;
}

uint64_t hear_acknowledged(const struct pump_pipe *pipe)
{
    uint64_t acknowledged_total = pipe->acknowledged_total;
    char packet[PACKET_BYTES];
    for (;;) {
        const ssize_t got = recv(pipe->channel_fd, packet, sizeof packet - 1, MSG_PEEK | MSG_DONTWAIT);
        if (got <= 0)
            return acknowledged_total;
        packet[got] = '\0';
        const int64_t finished = (size_t)got == strlen(packet) ? finished_records(pipe, packet) : -1;
        const uint64_t finished_total = pipe->first_record + (uint64_t)finished;
        if (finished < 0 || finished_total > pipe->written_total)
            return acknowledged_total;
        if (finished_total > acknowledged_total)
            acknowledged_total = finished_total;
        if (recv(pipe->channel_fd, packet, sizeof packet, MSG_DONTWAIT) < 0)
            return acknowledged_total;
    }
}

/* feeder: a feed of one session, over ws or wss, from a file of finished websocket frames (written by feed.py).
 * Law: nothing is built while the feed runs at full speed; the file's bytes go to the socket as they are.
 *
 * feeder --records N FEED (--seconds S | --passes N) [--certificate PEM]       as fast as the socket takes it, in whole passes
 * feeder --records N FEED --seconds S --rate R [--bursty] [--certificate PEM]  paced and stamped; FEED has 1 record per frame
 *
 * On stdout one JSON line per event: listening (port), subscribed, sent (records, times). On stdin one line starts the feed; the
 * connection stays open until stdin ends, so that nobody has to hurry. */
#include "stamp.h"
#include "websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define TICK_NS 100000ull             /* a paced feeder sends what is due at most this often */
#define BURST_PERIOD_NS 100000000ull  /* bursty: in the first tenth of every period ... */
#define BURST_FACTOR 10               /* ... the whole period's records, at ten times the mean rate */
#define FRAME_RECORDS_MAX 20          /* of a paced frame: what has become due goes out in frames of at most so many */
#define SEND_BYTES (1 << 20)          /* of a paced send */
#define RECORD_MAX_BYTES 1024
#define FRAME_MAX_BYTES (WEBSOCKET_HEADER_MAX_BYTES + 2 + FRAME_RECORDS_MAX * (RECORD_MAX_BYTES + 1))

struct feed {
    int fd;
    const unsigned char *bytes;
    size_t size;
    uint64_t records; /* in one pass of the file */
};

struct orders {
    double seconds;
    uint64_t passes;
    double rate_per_second;
    _Bool bursty;
};

struct record {
    const char *bytes;
    size_t size;
    size_t stamp_at; /* offset of the 13 digits */
};

struct pace {
    const struct feed *feed;
    const struct orders *orders;
    struct record *records;
    uint64_t start_ns, total, sent;
};

static struct feed open_feed(const char *path, uint64_t records)
{
    struct stat stat;
    struct feed feed = {.fd = open(path, O_RDONLY | O_CLOEXEC), .records = records};
    if (feed.fd < 0 || fstat(feed.fd, &stat) < 0)
        die(path);
    feed.size = (size_t)stat.st_size;
    feed.bytes = mmap(NULL, feed.size, PROT_READ, MAP_SHARED | MAP_POPULATE, feed.fd, 0);
    if (feed.bytes == MAP_FAILED)
        die(path);
    return feed;
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 1) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        die("listen");
    printf("{\"event\": \"listening\", \"port\": %d}\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* One PEM file holds the private key and the certificate chain. */
static SSL *accept_tls(int fd, const char *certificate)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, certificate, SSL_FILETYPE_PEM) != 1)
        die(certificate);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_accept(ssl) != 1)
        die("TLS handshake");
    return ssl;
}

static void expect_action(struct wire *wire, const char *action)
{
    char text[4096];
    websocket_read_text(wire, text, sizeof text);
    if (!strstr(text, action)) {
        errno = 0;
        die(text);
    }
}

static struct wire open_session(const char *certificate)
{
    int one = 1, listener = listen_on_loopback();
    struct wire wire = {.fd = accept(listener, NULL, NULL)};
    if (wire.fd < 0)
        die("accept");
    setsockopt(wire.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (certificate)
        wire.ssl = accept_tls(wire.fd, certificate);
    websocket_accept(&wire);
    websocket_send_text(&wire, "[{\"ev\":\"status\",\"status\":\"connected\",\"message\":\"Connected Successfully\"}]", 0);
    expect_action(&wire, "\"auth\"");
    websocket_send_text(&wire, "[{\"ev\":\"status\",\"status\":\"auth_success\",\"message\":\"authenticated\"}]", 0);
    expect_action(&wire, "\"subscribe\"");
    websocket_send_text(&wire, "[{\"ev\":\"status\",\"status\":\"success\",\"message\":\"subscribed to: T.*\"}]", 0);
    return wire;
}

static uint64_t send_at_full_speed(struct wire *wire, const struct feed *feed, const struct orders *orders)
{
    uint64_t end_ns = now_ns() + (uint64_t)(orders->seconds * SECOND_NS), passes = 0;
    while (orders->passes ? passes < orders->passes : now_ns() < end_ns) {
        wire_write(wire, feed->bytes, feed->size);
        passes++;
    }
    return passes * feed->records;
}

static struct record *find_records(const struct feed *feed)
{
    struct record *records = calloc(feed->records, sizeof *records);
    size_t at = 0, payload_bytes = 0;
    for (uint64_t i = 0; i < feed->records; i++, at += payload_bytes) {
        at += websocket_read_header(feed->bytes + at, feed->size - at, &payload_bytes);
        struct record record = {.bytes = (const char *)feed->bytes + at + 1, .size = payload_bytes - 2};
        record.stamp_at = stamp_find(record.bytes, record.size);
        if (!record.stamp_at || record.size > RECORD_MAX_BYTES) {
            errno = 0;
            die("a paced feed has one record, with a \"t\" of 13 digits, in every frame");
        }
        records[i] = record;
    }
    return records;
}

/* When record number i is due, in ns since the start. */
static uint64_t due_ns(const struct orders *orders, uint64_t i)
{
    if (!orders->bursty)
        return (uint64_t)((double)i / orders->rate_per_second * SECOND_NS);
    uint64_t period_records = (uint64_t)(orders->rate_per_second * BURST_PERIOD_NS / SECOND_NS);
    double in_burst_s = (double)(i % period_records) / (orders->rate_per_second * BURST_FACTOR);
    return i / period_records * BURST_PERIOD_NS + (uint64_t)(in_burst_s * SECOND_NS);
}

/* Writes records as one frame, each with its stamp; returns the frame's size. */
static size_t build_frame(char *frame, const struct record *records, const uint64_t *stamps_ns, size_t count)
{
    size_t payload_bytes = 1 + count;
    for (size_t i = 0; i < count; i++)
        payload_bytes += records[i].size;
    size_t at = websocket_header((unsigned char *)frame, payload_bytes);
    for (size_t i = 0; i < count; i++) {
        frame[at++] = i ? ',' : '[';
        memcpy(frame + at, records[i].bytes, records[i].size);
        stamp_write(frame + at + records[i].stamp_at, stamps_ns[i]);
        at += records[i].size;
    }
    frame[at++] = ']';
    return at;
}

/* Builds one frame of the records due by until_ns, at most 20; returns its size, 0 when none is due. */
static size_t build_due(struct pace *pace, char *frame, uint64_t until_ns, _Bool behind)
{
    uint64_t stamps_ns[FRAME_RECORDS_MAX], first = pace->sent % pace->feed->records;
    size_t count = 0;
    for (; count < FRAME_RECORDS_MAX && pace->sent < pace->total && first + count < pace->feed->records; count++) {
        uint64_t due = pace->start_ns + due_ns(pace->orders, pace->sent);
        if (due > until_ns)
            break;
        stamps_ns[count] = behind ? due : until_ns;
        pace->sent++;
    }
    return count ? build_frame(frame, pace->records + first, stamps_ns, count) : 0;
}

static void sleep_until(uint64_t wake_ns)
{
    struct timespec wake = {.tv_sec = (time_t)(wake_ns / SECOND_NS), .tv_nsec = (long)(wake_ns % SECOND_NS)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL) == EINTR)
        ;
}

/* A record is stamped with the time just before its send. When the socket's back-pressure has put the feeder behind its
 * schedule, it is stamped with the time it was due, so that waiting in front of the socket counts as latency too. */
static uint64_t send_paced(struct wire *wire, const struct feed *feed, const struct orders *orders)
{
    struct pace pace = {.feed = feed, .orders = orders, .records = find_records(feed)};
    pace.total = (uint64_t)(orders->seconds * orders->rate_per_second);
    char *bytes = malloc(SEND_BYTES);
    uint64_t wake_ns = pace.start_ns = now_ns();
    while (pace.sent < pace.total) {
        uint64_t due = pace.start_ns + due_ns(orders, pace.sent);
        wake_ns = due > wake_ns + TICK_NS ? due : wake_ns + TICK_NS;
        _Bool behind = now_ns() > wake_ns;
        if (!behind)
            sleep_until(wake_ns);
        wake_ns = now_ns();
        size_t size = 0, frame_bytes;
        while (size + FRAME_MAX_BYTES <= SEND_BYTES && (frame_bytes = build_due(&pace, bytes + size, wake_ns, behind)))
            size += frame_bytes;
        wire_write(wire, bytes, size);
    }
    free(bytes);
    free(pace.records);
    return pace.sent;
}

static void await_line(void)
{
    char line[16];
    if (!fgets(line, sizeof line, stdin)) {
        errno = 0;
        die("stdin ended before the start");
    }
}

int main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"seconds", required_argument, NULL, 's'}, {"passes", required_argument, NULL, 'p'},
        {"rate", required_argument, NULL, 'r'},    {"bursty", no_argument, NULL, 'b'},
        {"records", required_argument, NULL, 'n'}, {"certificate", required_argument, NULL, 'c'},
        {NULL, 0, NULL, 0},
    };
    struct orders orders = {0};
    const char *certificate = NULL;
    uint64_t records = 0;
    for (int option; (option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1;) {
        switch (option) {
        case 's': orders.seconds = strtod(optarg, NULL); break;
        case 'p': orders.passes = strtoull(optarg, NULL, 10); break;
        case 'r': orders.rate_per_second = strtod(optarg, NULL); break;
        case 'b': orders.bursty = 1; break;
        case 'n': records = strtoull(optarg, NULL, 10); break;
        case 'c': certificate = optarg; break;
        default: return 64;
        }
    }
    if (optind + 1 != argc || !records) {
        fprintf(stderr, "usage: feeder --records N FEED [OPTIONS]\n");
        return 64;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_TIMERSLACK, 1);
    struct feed feed = open_feed(argv[optind], records);
    struct wire wire = open_session(certificate);
    puts("{\"event\": \"subscribed\"}");
    fflush(stdout);
    await_line();
    uint64_t start_ns = now_ns();
    uint64_t sent = orders.rate_per_second > 0 ? send_paced(&wire, &feed, &orders) : send_at_full_speed(&wire, &feed, &orders);
    printf("{\"event\": \"sent\", \"records\": %" PRIu64 ", \"start_ns\": %" PRIu64 ", \"end_ns\": %" PRIu64 "}\n", sent,
           start_ns, now_ns());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}

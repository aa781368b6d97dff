#include "balancer.h"

#include "websocket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define STATUS_MAX_BYTES 4096

struct url {
    _Bool tls;
    char host[128], port[8], path[128];
};

static struct url parse_url(const char *text)
{
    struct url url = {.tls = !strncmp(text, "wss://", 6)};
    strcpy(url.path, "/");
    const char *rest = strstr(text, "://");
    if (!rest || sscanf(rest + 3, "%127[^:]:%7[0-9]%127s", url.host, url.port, url.path) < 2) {
        errno = 0;
        die("URL: expected ws://HOST:PORT/PATH or wss://HOST:PORT/PATH");
    }
    return url;
}

static int connect_to(const struct url *url)
{
    struct addrinfo *address, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    int one = 1, failure = getaddrinfo(url->host, url->port, &hints, &address);
    if (failure)
        die(gai_strerror(failure));
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, address->ai_addr, address->ai_addrlen) < 0)
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    freeaddrinfo(address);
    return fd;
}

/* The certificate is not checked: the handshake is outside what is measured, and the server is our own. */
static SSL *tls_connect(int fd)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_read_ahead(context, 1); /* one recv for many records instead of two for each */
    SSL_CTX_set_default_read_buffer_len(context, READ_BYTES);
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) != 1)
        die("TLS handshake");
    return ssl;
}

static void expect_status(struct wire *wire, const char *status)
{
    char text[STATUS_MAX_BYTES];
    websocket_read_text(wire, text, sizeof text);
    if (!strstr(text, status)) {
        errno = 0;
        die(text);
    }
}

static struct wire open_session(const char *key, const char *url_text)
{
    struct url url = parse_url(url_text);
    struct wire wire = {.fd = connect_to(&url)};
    char auth[126];
    if (url.tls)
        wire.ssl = tls_connect(wire.fd);
    websocket_request(&wire, url.host, url.path);
    expect_status(&wire, "\"connected\"");
    snprintf(auth, sizeof auth, "{\"action\":\"auth\",\"params\":\"%s\"}", key);
    websocket_send_text(&wire, auth, 1);
    expect_status(&wire, "\"auth_success\"");
    websocket_send_text(&wire, "{\"action\":\"subscribe\",\"params\":\"T.*\"}", 1);
    expect_status(&wire, "\"success\"");
    if (wire.ssl && fcntl(wire.fd, F_SETFL, O_NONBLOCK) < 0)
        die("O_NONBLOCK"); /* wire_read needs it over TLS */
    return wire;
}

static void start_worker(const int *read_fds, size_t pipe_count, const char *dir, char **command, int command_words)
{
    char **argv = calloc((size_t)command_words + pipe_count + 1, sizeof *argv);
    memcpy(argv, command, (size_t)command_words * sizeof *argv);
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid > 0) {
        free(argv);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    for (size_t i = 0; i < pipe_count; i++) {
        if (fcntl(read_fds[i], F_SETFD, 0) < 0 || asprintf(&argv[(size_t)command_words + i], "%d", read_fds[i]) < 0)
            die("pipe for the worker");
    }
    if (chdir(dir) < 0)
        die(dir);
    execvp(argv[0], argv);
    die(argv[0]);
}

struct balancer balancer_start(int argc, char **argv)
{
    long pipe_count = argc >= 6 ? strtol(argv[3], NULL, 10) : 0;
    if (pipe_count < 1) {
        fprintf(stderr, "usage: %s KEY URL NPIPES DIR WORKER [ARGS...]\n", argv[0]);
        exit(64);
    }
    struct balancer balancer = {.pipe_count = (size_t)pipe_count};
    balancer.pipe_fds = calloc(balancer.pipe_count, sizeof(int));
    int *read_fds = calloc(balancer.pipe_count, sizeof(int));
    for (size_t i = 0; i < balancer.pipe_count; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
            die("pipe2");
        read_fds[i] = ends[0];
        balancer.pipe_fds[i] = ends[1];
    }
    signal(SIGPIPE, SIG_IGN);
    start_worker(read_fds, balancer.pipe_count, argv[4], argv + 5, argc - 5);
    for (size_t i = 0; i < balancer.pipe_count; i++)
        close(read_fds[i]);
    free(read_fds);
    balancer.wire = open_session(argv[1], argv[2]);
    return balancer;
}

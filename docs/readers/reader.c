/* Prints the records of its pipes, one a line.   cc -O2 -pthread -o reader reader.c */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

static int print_records(void *fd)
{
    FILE *pipe = fdopen(atoi(fd), "rb");
    unsigned char head[4], *record = NULL;
    size_t got = 4;
    if (pipe)
        setvbuf(pipe, NULL, _IOFBF, 1 << 18);
    while (pipe && (got = fread(head, 1, 4, pipe)) == 4) { /* fread() goes on after a short read, read() does not */
        const uint32_t length = head[0] | head[1] << 8 | head[2] << 16 | (uint32_t)head[3] << 24;
        unsigned char *room = realloc(record, (size_t)length + 1);
        if (!room || fread(record = room, 1, length, pipe) < length)
            break; /* no memory, or the pipe has ended inside a record */
        record[length] = '\n';
        fwrite(record, 1, (size_t)length + 1, stdout); /* one call: lines of several threads stay whole */
    }
    free(record);
    return got == 0 ? 0 : 65;
}

int main(int argc, char **argv)
{
    thrd_t threads[argc];
    int worst = 0, code = 0;
    signal(SIGTERM, SIG_IGN); /* the end of the pipes is the end */
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    for (int i = 1; i < argc; i++)
        if (thrd_create(&threads[i], print_records, argv[i]) != thrd_success)
            return 71;
    for (int i = 1; i < argc; i++, worst = code > worst ? code : worst)
        thrd_join(threads[i], &code);
    return ferror(stdout) ? 74 : worst;
}

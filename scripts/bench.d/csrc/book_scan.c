/* book_scan FORM PRICE_DECIMALS LEVELS SECONDS FILE: reads the first levels of both sides of the message in FILE again and again, for so much CPU
 * time. Prints, as JSON, how many ns of it a message took, and the levels. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "update.h"

enum { MESSAGE_MAX_BYTES = 1 << 20, LEVELS_MAX = 1000, AT_ONCE = 1000, SIZE_DECIMALS = 8 };

struct top {
    level side[2][LEVELS_MAX];
    ptrdiff_t count[2];
};

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static const form *form_named(const char *name)
{
    static const form *const forms[] = {&binance_form, &bitstamp_form, &coinbase_form, &kraken_form, &polygon_form};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!strcmp(forms[i]->name, name))
            return forms[i];
    return NULL;
}

static int read_top(const form *form_, const uint8_t *message, size_t bytes, scale by, size_t levels, struct top *top)
{
    update about;
    if (form_->about(message, bytes, &about) < 0 || about.kind == UPDATE_NOTHING)
        return -1;
    for (int which = BID; which <= ASK; which++)
        if ((top->count[which] = form_->levels(&about, (side)which, by, top->side[which], levels)) < 0)
            return -1;
    return 0;
}

static void print_side(const struct top *top, side which)
{
    for (ptrdiff_t i = 0; i < top->count[which]; i++)
        printf("%s[%" PRId64 ", %" PRId64 "]", i ? ", " : "", top->side[which][i].price, top->side[which][i].size);
}

int main(int argc, char **argv)
{
    static uint8_t message[MESSAGE_MAX_BYTES];
    static struct top top;
    const form *form_ = argc == 6 ? form_named(argv[1]) : NULL;
    FILE *file = form_ ? fopen(argv[5], "rb") : NULL;
    if (!file)
        return 64;
    const size_t bytes = fread(message, 1, sizeof message, file), levels = strtoul(argv[3], NULL, 10);
    const scale by = {(uint8_t)strtoul(argv[2], NULL, 10), SIZE_DECIMALS};
    const double begin_ns = cpu_ns(), end_ns = begin_ns + strtod(argv[4], NULL) * 1e9;
    uint64_t messages = 0;
    double now_ns;
    fclose(file);
    if (levels > LEVELS_MAX)
        return 64;
    do {
        for (int i = 0; i < AT_ONCE; i++)
            if (read_top(form_, message, bytes, by, levels, &top))
                return 65;
        messages += AT_ONCE;
    } while ((now_ns = cpu_ns()) < end_ns);
    printf("{\"ns\": %.1f, \"sides\": [[", (now_ns - begin_ns) / (double)messages);
    print_side(&top, BID);
    printf("], [");
    print_side(&top, ASK);
    printf("]]}\n");
    return 0;
}

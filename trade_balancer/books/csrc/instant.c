#include "instant.h"
#include "members.h"

enum { TEXT_BYTES = 256, FIRST_YEAR = 1970, LAST_YEAR = 2261 };

struct text {
    const uint8_t *at, *end;
};

static bool take(struct text *text, uint8_t byte)
{
    if (text->at == text->end || *text->at != byte)
        return false;
    text->at++;
    return true;
}

/* So many digits, which say no more than `most`. */
static bool take_digits(struct text *text, int count, int most, int *out)
{
    *out = 0;
    for (int i = 0; i < count; i++, text->at++) {
        if (text->at == text->end || *text->at < '0' || *text->at > '9')
            return false;
        *out = *out * 10 + (*text->at - '0');
    }
    return *out <= most;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool take_date(struct text *text, int64_t *days)
{
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month, day;
    if (!take_digits(text, 4, LAST_YEAR, &year) || !take(text, '-') || !take_digits(text, 2, 12, &month) || !take(text, '-') ||
        !take_digits(text, 2, 31, &day) || year < FIRST_YEAR || month == 0 || day == 0 ||
        day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return false;
    *days = day - 1;
    for (int past = FIRST_YEAR; past < year; past++)
        *days += 365 + is_leap(past);
    for (int past = 1; past < month; past++)
        *days += lengths[past - 1] + (past == 2 && is_leap(year));
    return true;
}

static bool take_clock(struct text *text, int64_t *seconds)
{
    int hour, minute, second;
    if (!take_digits(text, 2, 23, &hour) || !take(text, ':') || !take_digits(text, 2, 59, &minute) || !take(text, ':') ||
        !take_digits(text, 2, 60, &second)) /* 60: a leap second */
        return false;
    *seconds = hour * 3600 + minute * 60 + second;
    return true;
}

static bool take_fraction(struct text *text, int64_t *fraction_ns)
{
    int64_t unit_ns = 1000000000;
    *fraction_ns = 0;
    if (!take(text, '.'))
        return true;
    const uint8_t *begin = text->at;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++)
        *fraction_ns += (unit_ns /= 10) * (*text->at - '0');
    return text->at > begin;
}

/* Z, or how far the clock is ahead of UTC. */
static bool take_zone(struct text *text, int64_t *seconds)
{
    int hours, minutes;
    *seconds = 0;
    if (take(text, 'Z'))
        return true;
    const bool is_ahead = take(text, '+');
    if ((!is_ahead && !take(text, '-')) || !take_digits(text, 2, 23, &hours) || !take(text, ':') || !take_digits(text, 2, 59, &minutes))
        return false;
    *seconds = (is_ahead ? 1 : -1) * (hours * 3600 + minutes * 60);
    return true;
}

bool instant_read(const struct json_value *string, int64_t *time_ns)
{
    uint8_t spelled[TEXT_BYTES];
    struct text text;
    size_t bytes;
    int64_t days, clock, fraction_ns, ahead;
    if (!string_read(string, spelled, sizeof spelled, &text.at, &bytes))
        return false;
    text.end = text.at + bytes;
    if (!take_date(&text, &days) || !take(&text, 'T') || !take_clock(&text, &clock) || !take_fraction(&text, &fraction_ns) ||
        !take_zone(&text, &ahead) || text.at != text.end)
        return false;
    *time_ns = (days * 86400 + clock - ahead) * 1000000000 + fraction_ns;
    return *time_ns >= 0;
}

bool instant_of(uint64_t count, int64_t unit_ns, int64_t *time_ns)
{
    if (count > (uint64_t)(INT64_MAX / unit_ns))
        return false;
    *time_ns = (int64_t)count * unit_ns;
    return true;
}

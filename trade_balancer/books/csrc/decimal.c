#include "decimal.h"

const uint32_t decimal_powers[DECIMAL_QUICK_DIGITS + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

/* far beyond what any number of digits makes up for */
static const int64_t EXPONENT_MAX = INT64_C(1) << 40;

struct digits {
    const uint8_t *begin;
    size_t count;
};

static struct digits take_digits(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *begin = *at;
    while (*at < end && **at >= '0' && **at <= '9')
        ++*at;
    return (struct digits){begin, (size_t)(*at - begin)};
}

static bool take(const uint8_t **at, const uint8_t *end, uint8_t byte)
{
    if (*at == end || **at != byte)
        return false;
    ++*at;
    return true;
}

static bool take_exponent(const uint8_t **at, const uint8_t *end, int64_t *exponent)
{
    const bool is_negative = take(at, end, '-');
    if (!is_negative)
        take(at, end, '+');
    const struct digits digits = take_digits(at, end);
    for (size_t i = 0; i < digits.count; i++)
        if (*exponent < EXPONENT_MAX)
            *exponent = *exponent * 10 + (digits.begin[i] - '0');
    if (is_negative)
        *exponent = -*exponent;
    return digits.count > 0;
}

/* What the digits come to. `kept` says how many of them, and of the zeros behind them, are not behind the point. */
struct sum {
    int64_t kept;
    int64_t value;
    bool is_too_large, is_inexact;
};

static void add_digit(struct sum *sum, int64_t digit)
{
    if (sum->kept-- > 0)
        sum->is_too_large |= __builtin_mul_overflow(sum->value, 10, &sum->value) || __builtin_add_overflow(sum->value, digit, &sum->value);
    else
        sum->is_inexact |= digit != 0;
}

static void add_digits(struct sum *sum, struct digits digits)
{
    for (size_t i = 0; i < digits.count && !sum->is_too_large; i++)
        add_digit(sum, digits.begin[i] - '0');
}

int decimal_read(const uint8_t **at, const uint8_t *end, unsigned decimals, int64_t *out)
{
    const bool is_quoted = take(at, end, '"');
    const bool is_negative = take(at, end, '-');
    const struct digits whole = take_digits(at, end);
    struct digits fraction = {*at, 0};
    int64_t exponent = 0;
    if (whole.count == 0)
        return BOOKS_EMALFORMED;
    if (take(at, end, '.') && (fraction = take_digits(at, end)).count == 0)
        return BOOKS_EMALFORMED;
    if ((take(at, end, 'e') || take(at, end, 'E')) && !take_exponent(at, end, &exponent))
        return BOOKS_EMALFORMED;
    if (is_quoted && !take(at, end, '"'))
        return BOOKS_EMALFORMED;

    struct sum sum = {.kept = (int64_t)whole.count + exponent + (int64_t)decimals};
    add_digits(&sum, whole);
    add_digits(&sum, fraction);
    while (sum.kept > 0 && sum.value > 0 && !sum.is_too_large)
        add_digit(&sum, 0);
    *out = is_negative ? -sum.value : sum.value;
    return sum.is_too_large ? BOOKS_ETOO_LARGE : sum.is_inexact ? BOOKS_EINEXACT : 0;
}

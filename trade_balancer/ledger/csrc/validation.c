#include "validation.h"

#include <stdbool.h>

enum member { ID, ACCOUNT, KIND, AMOUNT, TIME, TO, OF, MEMBERS };

static const int64_t AMOUNT_MAX = INT64_C(10000000000) * 100000000; /* 10^10, in units of 10^-8 */
static const int64_t TIME_MAX = INT64_C(1) << 53;

/* The value of each member; `seen` has a bit for those that are there. */
struct members {
    struct json_value value[MEMBERS];
    unsigned seen;
};

static enum member member_of(const struct json_value *name)
{
    static const struct {
        const char *name;
        size_t length;
    } names[MEMBERS] = {{"id", 2}, {"account", 7}, {"kind", 4}, {"amount", 6}, {"time", 4}, {"to", 2}, {"of", 2}};
    uint8_t resolved[64];
    const uint8_t *text = name->bytes;
    size_t length = name->length;
    if (name->has_escapes) {
        if (length > sizeof resolved)
            return MEMBERS;
        length = json_unescape(name, resolved);
        text = resolved;
    }
    for (enum member member = 0; member < MEMBERS; member++)
        if (length == names[member].length && !memcmp(text, names[member].name, length))
            return member;
    return MEMBERS;
}

static enum ledger_reason read_members(const uint8_t *record, size_t length, struct members *members)
{
    struct json_reader reader = json_reader(record, length);
    struct json_value name, value;
    bool is_repeated = false;
    int rc;
    members->seen = 0;
    while ((rc = json_next_member(&reader, &name, &value)) == 1) {
        const enum member member = member_of(&name);
        if (member == MEMBERS)
            continue;
        is_repeated |= members->seen >> member & 1;
        members->seen |= 1U << member;
        members->value[member] = value;
    }
    return rc < 0 ? LEDGER_NO_OBJECT : is_repeated ? LEDGER_REPEATED_MEMBER : LEDGER_VALID;
}

static bool is_seen(const struct members *members, enum member member)
{
    return members->seen >> member & 1;
}

/* A string of 1 to LEDGER_NAME_MAX_BYTES bytes without control characters. */
static bool read_name(const struct members *members, enum member member, struct ledger_name *name)
{
    const struct json_value *value = &members->value[member];
    uint8_t resolved[LEDGER_NAME_MAX_BYTES * JSON_ESCAPE_BYTES];
    const uint8_t *text = value->bytes;
    size_t length = value->length;
    if (!is_seen(members, member) || value->type != JSON_STRING || length > sizeof resolved)
        return false;
    if (value->has_escapes) {
        length = json_unescape(value, resolved);
        text = resolved;
    }
    if (length == 0 || length > LEDGER_NAME_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++)
        if (text[i] < 0x20 || text[i] == 0x7F)
            return false;
    memcpy(name->bytes, text, length);
    name->length = (uint8_t)length;
    return true;
}

static bool read_kind(const struct members *members, uint8_t *kind)
{
    static const char *const kinds[] = {"deposit", "withdrawal", "transfer", "dispute", "resolve", "chargeback"};
    struct ledger_name word;
    if (!read_name(members, KIND, &word))
        return false;
    for (uint8_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (word.length == strlen(kinds[i]) && !memcmp(word.bytes, kinds[i], word.length)) {
            *kind = (uint8_t)(i + 1);
            return true;
        }
    return false;
}

/* mantissa * 10^exponent, in units: exactly, or why not. */
static enum ledger_reason scale(const struct number *number, int64_t *amount)
{
    uint64_t units = number->mantissa;
    int64_t exponent = number->exponent + LEDGER_DECIMALS;
    bool is_fine = number->truncated;
    if (units == 0 || number->negative)
        return LEDGER_AMOUNT_NOT_POSITIVE;
    for (; exponent > 0; exponent--)
        if (units > (uint64_t)AMOUNT_MAX || __builtin_mul_overflow(units, UINT64_C(10), &units))
            return LEDGER_AMOUNT_TOO_LARGE;
    for (; exponent < 0 && units > 0; exponent++) {
        is_fine |= units % 10 != 0;
        units /= 10;
    }
    if (units > (uint64_t)AMOUNT_MAX || (units == (uint64_t)AMOUNT_MAX && is_fine))
        return LEDGER_AMOUNT_TOO_LARGE;
    *amount = (int64_t)units;
    return is_fine ? LEDGER_AMOUNT_TOO_FINE : LEDGER_VALID;
}

/* A number, or a string that says one in JSON's grammar. */
static enum ledger_reason read_amount(const struct members *members, int64_t *amount)
{
    const struct json_value *value = &members->value[AMOUNT];
    struct number number;
    if (!is_seen(members, AMOUNT))
        return LEDGER_BAD_AMOUNT;
    if (value->type == JSON_NUMBER)
        return scale(&value->number, amount);
    if (value->type != JSON_STRING || value->length == 0 || number_read(value->bytes, value->length, &number) != value->length)
        return LEDGER_BAD_AMOUNT;
    return scale(&number, amount);
}

static bool read_time(const struct members *members, int64_t *time)
{
    const struct json_value *value = &members->value[TIME];
    return is_seen(members, TIME) && value->type == JSON_NUMBER && value->number.is_integer &&
           number_to_int64(&value->number, time) && *time >= 0 && *time <= TIME_MAX;
}

static bool is_same(const struct ledger_name *one, const struct ledger_name *other)
{
    return one->length == other->length && !memcmp(one->bytes, other->bytes, one->length);
}

enum ledger_reason ledger_read(const uint8_t *record, size_t length, struct ledger_transaction *transaction)
{
    struct members members;
    transaction->id.length = transaction->account.length = transaction->other.length = 0;
    transaction->amount = 0;
    const enum ledger_reason shape = read_members(record, length, &members);
    if (shape != LEDGER_VALID)
        return shape;
    if (!read_name(&members, ID, &transaction->id))
        return LEDGER_BAD_ID;
    if (!read_name(&members, ACCOUNT, &transaction->account))
        return LEDGER_BAD_ACCOUNT;
    if (!read_kind(&members, &transaction->kind))
        return LEDGER_BAD_KIND;
    const bool moves_money = transaction->kind <= LEDGER_TRANSFER;
    if (!moves_money && is_seen(&members, AMOUNT))
        return LEDGER_AMOUNT_NOT_WANTED;
    const enum ledger_reason amount = moves_money ? read_amount(&members, &transaction->amount) : LEDGER_VALID;
    if (amount != LEDGER_VALID)
        return amount;
    if (!read_time(&members, &transaction->time))
        return LEDGER_BAD_TIME;
    if (transaction->kind == LEDGER_TRANSFER &&
        (!read_name(&members, TO, &transaction->other) || is_same(&transaction->other, &transaction->account)))
        return LEDGER_BAD_TO;
    if (!moves_money && !read_name(&members, OF, &transaction->other))
        return LEDGER_BAD_OF;
    return LEDGER_VALID;
}

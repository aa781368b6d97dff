/* Law: reads the caller's bytes, makes no system call, allocates nothing, keeps nothing.
 *
 * A record as a transaction, or why it is none. validation.py says the same in Python, and the tests compare them. */
#ifndef VALIDATION_H
#define VALIDATION_H

#include "json.h"

#include <stdint.h>

enum {
    LEDGER_DECIMALS = 8,
    LEDGER_NAME_MAX_BYTES = 64
};

/* Why a record is no transaction: enum Reason of transaction.py. */
enum ledger_reason {
    LEDGER_VALID,
    LEDGER_NO_OBJECT,
    LEDGER_REPEATED_MEMBER,
    LEDGER_BAD_ID,
    LEDGER_BAD_ACCOUNT,
    LEDGER_BAD_KIND,
    LEDGER_BAD_AMOUNT,
    LEDGER_AMOUNT_NOT_POSITIVE,
    LEDGER_AMOUNT_TOO_LARGE,
    LEDGER_AMOUNT_TOO_FINE,
    LEDGER_AMOUNT_NOT_WANTED,
    LEDGER_BAD_TIME,
    LEDGER_BAD_TO,
    LEDGER_BAD_OF
};

enum ledger_kind { LEDGER_DEPOSIT = 1, LEDGER_WITHDRAWAL, LEDGER_TRANSFER, LEDGER_DISPUTE, LEDGER_RESOLVE, LEDGER_CHARGEBACK };

/* A text whose escapes are resolved; length 0: there is none. */
struct ledger_name {
    uint8_t bytes[LEDGER_NAME_MAX_BYTES];
    uint8_t length;
};

struct ledger_transaction {
    struct ledger_name id, account, other;
    uint8_t kind;
    int64_t amount;
    int64_t time;
};

/* Fills in what the record says. Returns a reason; where it is a name's or a later one, what was found before is filled in. */
enum ledger_reason ledger_read(const uint8_t *record, size_t length, struct ledger_transaction *transaction);

#endif

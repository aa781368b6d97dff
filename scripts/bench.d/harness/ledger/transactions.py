"""What the part `ledger` puts in: transactions of 10,000 accounts, some of which have most of them (Zipf)."""

from functools import lru_cache
from random import Random

ACCOUNTS = 10_000
_BEGIN_MS = 1_700_000_000_000


@lru_cache(1)
def records(count: int) -> tuple[bytes, ...]:
    """A half deposits, three tenths withdrawals, two tenths transfers; ids rise."""
    random = Random(1)
    names = [f"acct-{number:06}" for number in range(ACCOUNTS)]
    weights = [1 / rank for rank in range(1, ACCOUNTS + 1)]
    accounts, others = (random.choices(names, weights, k=count) for _ in range(2))
    return tuple(_record(random, number, *pair) for number, pair in enumerate(zip(accounts, others, strict=True)))


def _record(random: Random, number: int, account: str, other: str) -> bytes:
    kind = random.choice("dddddwwwtt" if account != other else "d")
    said = {"d": '"kind":"deposit"', "w": '"kind":"withdrawal"', "t": f'"kind":"transfer","to":"{other}"'}[kind]
    amount = f"{random.randrange(1, 10_000 if kind == 'd' else 1_000)}.{number % 100:02}"
    head = f'{{"id":"01J{number:013}","account":"{account}",{said}'
    return f'{head},"amount":"{amount}","time":{_BEGIN_MS + number}}}'.encode()

"""Transactions by number, of which none is ever refused, and what accounts have after so many of them."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

ACCOUNTS = 40


def transaction(number: int) -> bytes:
    """Enough for each account, and then so little at a time that none is ever refused: the order does not matter."""
    account, other = number % ACCOUNTS, (number * 7 + number // ACCOUNTS) % ACCOUNTS
    head = f'{{"id":"{number}","account":"a{account}","time":{number},"amount":'
    if number < ACCOUNTS or number % 3 == 0:
        amount = "1000000" if number < ACCOUNTS else "0.5"
        return f'{head}"{amount}","kind":"deposit"}}'.encode()
    if number % 3 == 1 or other == account:
        return f'{head}"0.01","kind":"withdrawal"}}'.encode()
    return f'{head}0.25,"kind":"transfer","to":"a{other}"}}'.encode()


def expected(count: int) -> dict[str, Decimal]:
    balances: Counter[str] = Counter()
    for number in range(count):
        account, other = number % ACCOUNTS, (number * 7 + number // ACCOUNTS) % ACCOUNTS
        if number < ACCOUNTS or number % 3 == 0:
            balances[f"a{account}"] += 10**8 * 10**6 if number < ACCOUNTS else 10**8 // 2
        elif number % 3 == 1 or other == account:
            balances[f"a{account}"] -= 10**6
        else:
            balances[f"a{account}"] -= 10**8 // 4
            balances[f"a{other}"] += 10**8 // 4
    return {name: Decimal(units).scaleb(-8) for name, units in balances.items()}

"""What a stock's trade may do to a bar, by its conditions: the rules of the consolidated tape.

The numbers are the vendor's (member `c`; its REST call /v3/reference/conditions names them, and has the rules under
`update_rules.consolidated`). The rules are those of the two plans that make the tape: for tapes A and B in the CTS
Output specification, for tape C in the UTDF specification, in both a table of the sale conditions and their effect on
last price, high and low, and volume. As known in 2026; the plans change them rarely.

Law: of several conditions, each may forbid. A condition that is not named here forbids nothing.
"""

from __future__ import annotations

from trade_balancer.columnar.bars import Update

_NOTHING = Update(0)

MAY_UPDATE: dict[int, Update] = {
    2: Update.VOLUME,  # average price trade
    5: Update.VOLUME | Update.HIGH_LOW,  # bunched sold trade
    7: Update.VOLUME,  # cash sale
    10: Update.VOLUME | Update.HIGH_LOW,  # derivatively priced
    12: Update.VOLUME,  # form T: extended hours
    13: Update.VOLUME,  # extended hours, sold out of sequence
    15: _NOTHING,  # market center official close: a statement, not a trade
    16: _NOTHING,  # market center official open: the same
    20: Update.VOLUME,  # next day
    21: Update.VOLUME,  # price variation trade
    22: Update.VOLUME | Update.HIGH_LOW,  # prior reference price
    29: Update.VOLUME,  # seller
    32: Update.VOLUME | Update.HIGH_LOW,  # sold out of sequence
    33: Update.VOLUME | Update.HIGH_LOW,  # sold out of sequence and stopped stock
    37: Update.VOLUME,  # odd lot
    38: Update.OPEN_CLOSE | Update.HIGH_LOW,  # corrected consolidated close: its volume was counted before
    52: Update.VOLUME,  # contingent trade
    53: Update.VOLUME,  # qualified contingent trade
}
"""Conditions that forbid something, and what a trade that has them may do."""

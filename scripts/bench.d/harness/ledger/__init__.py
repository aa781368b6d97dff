"""The part `ledger`: transactions into accounts, durable, a function for each row, in the files beside this.

To add a row: a function marked with @row in a file here that ROWS names; and its goal, a line in ledger_figures of
harness/goals.py, which knows the row by its name.

Law: see harness/rows.py. Each run begins with an empty ledger; what is in it at the end must be right.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("rate", "postgresql"))
row = ROWS.row

"""The part `upgrade`: what it costs that lb can be replaced while it runs: a function for each row, in the files
beside this.

Law: see harness/rows.py.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("gap", "memory"))
row = ROWS.row

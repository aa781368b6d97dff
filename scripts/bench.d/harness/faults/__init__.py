"""The part `faults`: what a fault, or the guard against one, costs: a function for each row, in the files beside this.

To add a row: a function marked with @row in a file here that ROWS names; and its goal, a line in fault_figures of
harness/goals.py, which knows the row by its name.

Law: see harness/rows.py.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("restart", "frozen", "spill", "redeliver"))
row = ROWS.row

"""The part `books`: order books, a function for each row, in the files beside this.

To add a row: a function marked with @row in a file here that ROWS names; and its goal, a line in book_figures of
harness/goals.py, which knows the row by its name.

Law: see harness/rows.py. What is compared must have come to the same book.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("engine", "scan", "latency", "service"))
row = ROWS.row

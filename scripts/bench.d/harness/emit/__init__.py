"""The part `emit`: very many clients of lb-emit, a function for each row, in the files beside this.

To add a row: see harness/books. Law: see harness/rows.py.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("clients", "centrifugo"))
row = ROWS.row

"""The part `kafka`: records to a broker and back, beside clients as people write them, a function for each row.

To add a row: a function marked with @row in a file here that ROWS names; and its goal, a line in kafka_figures of
harness/goals.py, which knows the row by its name.

Law: see harness/rows.py. Broker and clients share the machine's cores: the figure that others change least is the
client's CPU time.
"""

from harness.rows import Rows

ROWS = Rows(__name__, ("producing", "consuming"))
row = ROWS.row

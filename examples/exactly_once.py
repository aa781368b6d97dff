#!/usr/bin/env python3
"""Stores every record in SQLite, each exactly once, however often it is killed.

    lb --redeliver --spawn per-pipe ... examples/exactly_once.py records.db

A batch is acknowledged when the loop asks for the next one, and by then it is committed. Should the worker die between
the two, its successor gets the batch once more, and the numbers, which are the same again, tell that it is there.
"""

import os
import sqlite3
import sys

from trade_balancer import fds_of_command_line, numbered, outlive_stop_signals

outlive_stop_signals()
run = os.environ.get("LB_RUN", "")  # numbers are those of one life of lb
store = sqlite3.connect(sys.argv[1], timeout=60)  # seconds: the workers of all pipes write, one at a time
store.execute("PRAGMA journal_mode = WAL")
store.execute(
    "CREATE TABLE IF NOT EXISTS records (run TEXT, pipe INTEGER, number INTEGER, record TEXT,"
    " PRIMARY KEY (run, pipe, number)) WITHOUT ROWID"
)
for fd, first, records in numbered(fds_of_command_line(sys.argv)):
    rows = [(run, fd, number, record.decode()) for number, record in enumerate(records, first)]
    with store:  # one transaction
        store.executemany("INSERT OR IGNORE INTO records VALUES (?, ?, ?, ?)", rows)
store.close()

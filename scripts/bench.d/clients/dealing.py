"""What the Python clients share: the command line, the pipes and the worker, the dialogue's texts, and the dealing of
trades.
"""

import os
import struct
import subprocess
import sys

import orjson

SUBSCRIBE = '{"action":"subscribe","params":"T.*"}'


class Dealer:
    """NPIPES pipes to one worker; deals decoded trades to them in turn."""

    def __init__(self, arguments: list[str]) -> None:
        self.key, self.url, pipes, folder, *worker = arguments
        ends = [os.pipe() for _ in range(int(pipes))]
        readers = [reader for reader, _ in ends]
        subprocess.Popen([*worker, *map(str, readers)], cwd=folder, pass_fds=readers)
        for reader in readers:
            os.close(reader)
        self._writers = [writer for _, writer in ends]
        self._dealt = 0

    @property
    def auth(self) -> str:
        return f'{{"action":"auth","params":"{self.key}"}}'

    def deal(self, message: str | bytes) -> None:
        """Decodes one message and writes each of its trades, behind its length, to the next pipe."""
        for trade in orjson.loads(message):
            record = orjson.dumps(trade)
            os.write(self._writers[self._dealt % len(self._writers)], struct.pack("<I", len(record)) + record)
            self._dealt += 1


def from_command_line() -> Dealer:
    if len(sys.argv) < 6:
        sys.exit(f"usage: {sys.argv[0]} KEY URL NPIPES DIR WORKER [ARGS...]")
    return Dealer(sys.argv[1:])

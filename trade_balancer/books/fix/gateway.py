"""The process of `fix.program`, beside lb-books: started, started again where it dies, and ended.

Law: whatever happens there, the books and gRPC go on. Nothing here needs the extra `fix`.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

from trade_balancer.errors import ChildError, tell

AGAIN_S = 1.0
STOP_S = 5.0


class Gateway:
    """At HOST:PORT. `options`: of fix.program, but for the address."""

    def __init__(self, address: str, options: Sequence[str]) -> None:
        self._address = address
        self._options = options
        self._process: Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> int:
        """Returns the port (that was chosen, where PORT is 0).

        Raises:
            ChildError: it has not come up; it has said why.
        """
        process, port = await self._started()
        self._address = f"{self._address.rpartition(':')[0]}:{port}"
        self._watching = asyncio.create_task(self._watch(process))
        return port

    async def stop(self) -> None:
        """It logs its clients out, first."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                async with asyncio.timeout(STOP_S):
                    await self._process.wait()
            except TimeoutError:
                tell(f"FIX: its process does not end within {STOP_S:g} s, and is killed")
                self._process.kill()
                await self._process.wait()

    async def _started(self) -> tuple[Process, int]:
        command = [sys.executable, "-m", "trade_balancer.books.fix.program", *self._options]
        process = await asyncio.create_subprocess_exec(*command, "--address", self._address, stdin=PIPE, stdout=PIPE)
        self._process = process
        assert process.stdout is not None
        port = await process.stdout.readline()
        if not port:
            raise ChildError(f"FIX cannot be served at {self._address}", await process.wait())
        return process, int(port)

    async def _watch(self, process: Process) -> None:
        while True:
            code = await process.wait()
            tell(f"FIX: its process has ended with {code}, and is started again; books and gRPC go on")
            await asyncio.sleep(AGAIN_S)
            try:
                process, _ = await self._started()
            except ChildError as fault:
                tell(str(fault))

"""A server of QuestDB for tests: in a temporary folder, on a loopback port that the kernel has chosen."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from database_server import OneProcess, cache, prepare

HERE = Path(__file__).parent
SETTINGS = """\
http.bind.to=127.0.0.1:{port}
http.min.enabled=false
line.tcp.enabled=false
pg.enabled=false
telemetry.enabled=false
"""


class Server(OneProcess):
    """Raises UnavailableError."""

    def __init__(self) -> None:
        self._jar = prepare(HERE / "prepare", cache("questdb")) / "questdb.jar"
        super().__init__("questdb")
        self.port = 0

    def start(self) -> None:
        (self.folder / "conf").mkdir(exist_ok=True)
        (self.folder / "conf" / "server.conf").write_text(SETTINGS.format(port=self.port))
        command = ["java", "-Xmx256m", "-p", self._jar, "-m", "io.questdb/io.questdb.ServerMain", "-d", self.folder]
        with (self.folder / "log").open("w+") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            told = ""
            while " enjoy\n" not in told:
                assert self._process.poll() is None, told
                time.sleep(0.05)  # a file tells nobody that it has grown
                log.seek(0)
                told = log.read()
        found = re.search(r"http-server listening on 127\.0\.0\.1:(\d+)", told)
        assert found, told
        self.port = int(found[1])

    def ask(self, statement: str) -> list[dict[str, Any]]:
        """The rows of its answer."""
        address = f"http://127.0.0.1:{self.port}/exec?{urllib.parse.urlencode({'query': statement})}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            told = json.load(answer)
        names = [column["name"] for column in told.get("columns", [])]
        return [dict(zip(names, row, strict=True)) for row in told.get("dataset", [])]

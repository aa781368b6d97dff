"""What `lb --metrics` serves, seen by an HTTP client of the standard library."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from harness.lb_process import Lb

TIMEOUT_S = 20.0
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass(frozen=True)
class Answer:
    status: int
    fields: Mapping[str, str]
    """By their names in lower case."""
    text: str


@dataclass(frozen=True)
class Served:
    url: str

    @classmethod
    def by(cls, lb: Lb) -> Served:
        return cls(str(lb.await_line("metrics and page are served")["url"]))

    @property
    def port(self) -> int:
        port = urlsplit(self.url).port
        assert port is not None
        return port

    def get(self, path: str, method: str = "GET", **fields: str) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=fields)
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, names, answer.read().decode())
        finally:
            connection.close()

    def await_answer(self, path: str, status: int, text: str = "") -> Answer:
        """As soon as it is answered so, with this text in it."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while (answer := self.get(path)).status != status or text not in answer.text:
            assert time.monotonic() < deadline_s, answer
        return answer

    def metrics(self) -> Samples:
        """Each sample by its name and labels, taken from the text as the format says it (not by prometheus_client)."""
        samples = {}
        for line in self.get("/metrics").text.splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                name, _, labels = name.partition("{")
                pairs = (label.partition("=") for label in labels.removesuffix("}").split('",') if label)
                samples[name, frozenset((key, text.strip('"')) for key, _, text in pairs)] = float(value)
        return samples

    def await_metric(self, name: str, value: float, **labels: str) -> Samples:
        """All of them, as soon as this one is so."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while (samples := self.metrics()).get((name, frozenset(labels.items()))) != value:
            assert time.monotonic() < deadline_s, sorted(samples.items(), key=str)
        return samples

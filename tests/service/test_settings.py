"""Settings are read as systemd reads them (systemd.exec(5), EnvironmentFile=)."""

from __future__ import annotations

import pytest

from lb import options
from lb.setup.pieces import instance_piece
from lb.setup.settings import variables_of, words_of

READ_BY_SYSTEMD = [
    ("A=b", {"A": "b"}),
    ("# A=b\n; A=c\n\nA=d", {"A": "d"}),
    ("A=b c ", {"A": "b c"}),
    ("A=  b", {"A": "b"}),
    ('A="b  c"', {"A": "b  c"}),
    ("A='b\\c'", {"A": "b\\c"}),
    ('A="b\\"c\\d"', {"A": 'b"c\\d'}),
    ('A=b "c d"', {"A": 'b "c d"'}),
    ('A="b"c', {"A": "bc"}),
    ("A=b\\\nc", {"A": "bc"}),
    ('A="b\nc"\nD=e', {"A": "b\nc", "D": "e"}),
    ("A=\nB=c", {"A": "", "B": "c"}),
    ("nothing\nA=b", {"A": "b"}),
    ("A=b=c", {"A": "b=c"}),
]
"""What a file holds, and what a service finds in its environment; tried with systemd itself in a guest."""


@pytest.mark.parametrize(("text", "variables"), READ_BY_SYSTEMD)
def test_variables(text: str, variables: dict[str, str]) -> None:
    assert variables_of(text) == variables


def test_words_are_held_together_by_quotes() -> None:
    text = 'LB_OPTIONS=--hours "Mon-Fri 09:30-16:00 UTC" --cpu 0\nLB_URL=wss://h/\nLB_NPIPES=2\nLB_WORKER=w "a b"\n'
    assert words_of("demo", variables_of(text)) == [
        "--hours", "Mon-Fri 09:30-16:00 UTC", "--cpu", "0", "@/etc/lb/demo.key",
        "wss://h/", "2", "/var/lib/lb/demo", "w", "a b",
    ]  # fmt: skip


def test_a_session_for_readers_alone_has_neither_folder_nor_worker() -> None:
    text = "LB_URL=wss://h/\nLB_NPIPES=0\nLB_DIR=\nLB_WORKER=\n"
    assert words_of("demo", variables_of(text)) == ["@/etc/lb/demo.key", "wss://h/", "0"]


def test_the_settings_of_a_new_instance_can_be_read() -> None:
    words = words_of("demo", variables_of(instance_piece("demo").text))
    words[words.index("@/etc/lb/demo.key")] = "a-key"
    config = options.parse(words)
    assert (config.pipes, config.directory, config.worker) == (4, "/var/lib/lb/demo", "lb-count")
    assert config.endpoint.host == "socket.massive.com"

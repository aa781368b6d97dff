"""`lb-lines`: any program that reads lines is a worker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import pytest
from harness import Feed, Lb, message
from hypothesis import given
from hypothesis import strategies as st

from trade_balancer.lines import as_lines

TIMEOUT_S = 30.0
LB_LINES = (sys.executable, "-m", "trade_balancer.lines")
RECORDS = [b'{"ev":"T","sym":"A","n":1}', b'{"ev":"T","sym":"B","n":2}', b'{"ev":"Q","sym":"A","n":3}']


def played(pipes: Sequence[Sequence[bytes]], *command: str, rest: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run lb-lines on pipes that hold these records and have ended, the last of them with `rest` behind."""
    read_fds = []
    for number, records in enumerate(pipes):
        read_fd, write_fd = os.pipe()
        framed = b"".join(len(record).to_bytes(4, "little") + record for record in records)
        os.write(write_fd, framed + (rest if number == len(pipes) - 1 else b""))
        os.close(write_fd)
        read_fds.append(read_fd)
    try:
        return subprocess.run(
            [*LB_LINES, *command, *map(str, read_fds)],
            pass_fds=read_fds, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
        )  # fmt: skip
    finally:
        for fd in read_fds:
            os.close(fd)


def test_a_program_gets_every_record_as_a_line() -> None:
    done = played([RECORDS], "cat")
    assert (done.returncode, done.stdout) == (0, "".join(f"{record.decode()}\n" for record in RECORDS))


def test_records_of_all_pipes_come_to_one_program() -> None:
    done = played([RECORDS[:1], RECORDS[1:]], "sort")
    assert done.stdout.split() == sorted(record.decode() for record in RECORDS)


def test_its_exit_code_is_the_programs() -> None:
    assert played([RECORDS], "sh", "-c", "cat > /dev/null; exit 7").returncode == 7
    assert played([RECORDS], "sh", "-c", "kill -9 $$").returncode == 128 + 9


def test_a_program_that_reads_no_further_is_no_failure() -> None:
    done = played([RECORDS * 500], "head", "-n", "2", "--")
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 2, "")


def test_a_number_of_the_programs_own_stands_before_two_dashes() -> None:
    assert played([RECORDS], "head", "-n", "1", "--").stdout == RECORDS[0].decode() + "\n"


@pytest.mark.parametrize(
    ("command", "code", "said"), [(("no-such-program",), 69, "can't be started"), ((), 64, "usage")]
)
def test_what_can_not_work_is_said(command: tuple[str, ...], code: int, said: str) -> None:
    done = played([RECORDS], *command)
    assert done.returncode == code
    assert said in done.stderr


def test_a_pipe_that_ends_inside_a_frame_is_told_and_all_before_it_has_come() -> None:
    done = played([RECORDS], "cat", rest=b"\x10\0\0\0{")
    assert (done.returncode, len(done.stdout.splitlines())) == (65, 3)
    assert "fd" in done.stderr


@given(
    st.lists(
        st.recursive(st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)), min_size=1
    )
)
def test_a_line_is_the_same_json_however_it_was_laid_out(values: list[object]) -> None:
    records = [json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\r\n").encode() for value in values]
    lines = as_lines(records)
    assert [json.loads(line) for line in lines.removesuffix(b"\n").split(b"\n")] == values


@pytest.mark.parametrize(
    ("options", "reader"), [((), LB_LINES), (("--frame", "lines"), ()), (("--frame", "lines", "--spawn=per-pipe"), ())]
)
def test_through_lb(options: tuple[str, ...], reader: tuple[str, ...]) -> None:
    with (
        Feed() as feed,
        Lb(feed.url, 2, *options, worker=(*reader, "awk", '-F"', "{ print $8; fflush() }"), records=False) as lb,
        feed.session() as peer,
    ):
        peer.say(message(RECORDS))
        while lb.balance()["received"] < len(RECORDS):
            pass
        assert lb.stop().exit_code == 0
        assert sorted(lb.output.split()) == [b"A", b"A", b"B"]

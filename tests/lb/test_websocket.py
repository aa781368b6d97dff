"""Frames: all that RFC 6455 asks of a client, through a running `lb`."""

from __future__ import annotations

import json
import struct

import pytest
from harness import SOON, Feed, Lb, frame, message
from harness.feed import BINARY, CLOSE, CONNECTED, CONTINUATION, PING, PONG, TEXT

pytestmark = pytest.mark.slow

FIRST, SECOND, THIRD = (b'{"ev":"T","sym":"A","s":%d}' % number for number in range(3))

PROTOCOL_FAULTS = [
    pytest.param(frame(message([SECOND]), masked=True), 1002, id="masked frame"),
    pytest.param(frame(message([SECOND]), rsv=4), 1002, id="RSV1"),
    pytest.param(frame(message([SECOND]), rsv=2), 1002, id="RSV2"),
    pytest.param(frame(message([SECOND]), rsv=1), 1002, id="RSV3"),
    *(pytest.param(frame(b"", opcode), 1002, id=f"opcode {opcode:#x}") for opcode in (*range(3, 8), *range(11, 16))),
    pytest.param(frame(b"ab", PING, fin=False), 1002, id="fragmented ping"),
    pytest.param(frame(b"a" * 126, PING), 1002, id="ping of 126 bytes"),
    pytest.param(frame(b"", CLOSE, fin=False), 1002, id="fragmented close"),
    pytest.param(frame(b"]", CONTINUATION), 1002, id="continuation of nothing"),
    pytest.param(frame(b"[", fin=False) + frame(b"[]"), 1002, id="message inside of a message"),
    pytest.param(frame(b"[]", length_bytes=2), 1002, id="16-bit length for 2 bytes"),
    pytest.param(frame(b"[]", length_bytes=8), 1002, id="64-bit length for 2 bytes"),
    pytest.param(b"\x81\x7f" + struct.pack("!Q", 1 << 63), 1002, id="length of 2^63"),
    pytest.param(b"\x81\x7f" + struct.pack("!Q", (16 << 20) + 1), 1009, id="length over max_frame_bytes"),
    pytest.param(b"\x81\x7f" + struct.pack("!Q", (1 << 63) - 1), 1009, id="length of 2^63 - 1"),
    pytest.param(frame(b'[{"sym":"\xff"}]'), 1007, id="byte that is not UTF-8"),
    pytest.param(frame(b'[{"sym":"\xed\xa0\x80"}]'), 1007, id="surrogate in UTF-8"),
    pytest.param(frame(b'[{"sym":"\xc3"}]'), 1007, id="character cut short"),
    pytest.param(frame(b"x", CLOSE), 1002, id="close of 1 byte"),
    *(
        pytest.param(frame(struct.pack("!H", code), CLOSE), 1002, id=f"close code {code}")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
    ),
    pytest.param(frame(struct.pack("!H", 1000) + b"\xff", CLOSE), 1007, id="close reason that is not UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "close_code"), PROTOCOL_FAULTS)
def test_a_protocol_fault_is_answered_with_its_close_code_and_a_new_session(fault: bytes, close_code: int) -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.session() as peer:
            peer.send(frame(message([FIRST])) + fault)
            (closing,) = peer.receive_to_end()
            assert closing.close_code == close_code
        line = lb.await_line("session lost", level="warning")
        assert f"(close code {close_code})" in line["reason"]
        with feed.session() as peer:
            peer.say(message([THIRD]))
            assert lb.await_records(2).pipes == {0: [FIRST, THIRD]}, "nothing of the faulty frame, all before it"
        end = lb.stop()
        assert end.exit_code == 0
        assert (end.balance["received"], end.balance["exact"]) == (2, True)
        assert end.statistics["reconnects"] == 1


@pytest.mark.parametrize(
    ("fault", "close_code"),
    [
        pytest.param(frame(b"[]", masked=True), 1002, id="masked frame"),
        pytest.param(frame(b"[]", rsv=4), 1002, id="RSV1"),
        pytest.param(frame(b"[]", 3), 1002, id="opcode 0x3"),
        pytest.param(frame(b"ab", PING, fin=False), 1002, id="fragmented ping"),
        pytest.param(frame(b"]", CONTINUATION), 1002, id="continuation of nothing"),
        pytest.param(b"\x81\x7f" + struct.pack("!Q", (16 << 20) + 1), 1009, id="length over max_frame_bytes"),
        pytest.param(b"\x81\x7f" + struct.pack("!Q", (1 << 63) - 1), 1009, id="length of 2^63 - 1"),
    ],
)
def test_a_protocol_fault_during_the_dialogue_too(fault: bytes, close_code: int) -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.connection().upgrade() as peer:
            peer.send(fault)
            (closing,) = peer.receive_to_end()
            assert closing.close_code == close_code
        assert f"(close code {close_code})" in lb.await_line("no session")["reason"]
        with feed.session() as peer:
            peer.say(message([FIRST]))
            lb.await_records(1)


def test_text_that_is_not_utf_8_in_the_midst_of_the_dialogue_ends_it() -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.connection().upgrade() as peer:
            peer.say(message([FIRST]))
            peer.say(b'[{"sym":"\xff"}]')
            (closing,) = peer.receive_to_end()
            assert closing.close_code == 1007
        reason = lb.await_line("no session")["reason"]
        assert "(close code 1007)" in reason
        with feed.session() as peer:
            peer.say(message([SECOND]))
            assert lb.await_records(2).pipes == {0: [FIRST, SECOND]}


def test_a_frame_of_exactly_the_limit_is_taken_and_one_byte_more_is_refused_unread() -> None:
    limit_bytes = 70_000
    largest = b'{"ev":"T","pad":"' + b"x" * (limit_bytes - 21) + b'"}'
    with Feed() as feed, Lb(feed.url, 1, "--max-frame-bytes", str(limit_bytes)) as lb, feed.session() as peer:
        assert len(message([largest])) == limit_bytes
        peer.say(message([largest]))
        assert lb.await_records(1).pipes == {0: [largest]}
        peer.send(b"\x81\x7f" + struct.pack("!Q", limit_bytes + 1))  # the header alone
        (closing,) = peer.receive_to_end()
        assert closing.close_code == 1009
        assert f"frame over max_frame_bytes={limit_bytes}" in lb.await_line("session lost")["reason"]


@pytest.mark.parametrize("size", [2, 125, 126, 127, 65_535, 65_536, 1 << 20, 16 << 20])
def test_every_form_of_a_length(size: int) -> None:
    text = b"[" + b'{"ev":"T"}'.ljust(size - 2) + b"]" if size > 12 else b"[]"
    records = [b'{"ev":"T"}'] if size > 12 else []
    assert len(text) == size
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.send(frame(text) + frame(message([FIRST])))
        assert lb.await_records(len(records) + 1).pipes == {0: [*records, FIRST]}


def test_binary_messages_are_messages_too() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.send(frame(message([FIRST, SECOND]), BINARY))
        assert lb.await_records(2).pipes == {0: [FIRST, SECOND]}


def test_fragments_with_control_frames_between() -> None:
    text = message([FIRST, SECOND])
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        raw = frame(text[:1], fin=False) + frame(b"1", PING)
        for byte in text[1:-1]:
            raw += frame(bytes([byte]), CONTINUATION, fin=False) + frame(b"", CONTINUATION, fin=False)
        raw += frame(b"2", PING) + frame(b"", PONG) + frame(text[-1:], CONTINUATION) + frame(message([THIRD]))
        peer.send(raw)
        assert lb.await_records(3).pipes == {0: [FIRST, SECOND, THIRD]}
        assert [peer.receive().payload for _ in range(2)] == [b"1", b"2"]


def test_one_byte_at_a_time() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        for byte in frame(message([FIRST, SECOND])) + frame(b"p", PING) + frame(message([THIRD])):
            peer.send(bytes([byte]))
        assert lb.await_records(3).pipes == {0: [FIRST, SECOND, THIRD]}
        assert peer.receive().payload == b"p"


def test_every_ping_is_answered_with_its_payload_in_order() -> None:
    payloads = [b"", b"x", bytes(range(125)), *(b"%d" % number for number in range(200))]
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.send(b"".join(frame(payload, PING) for payload in payloads))
        for payload in payloads:
            answer = peer.receive()
            assert (answer.opcode, answer.payload) == (PONG, payload)


def test_a_pong_that_nobody_asked_for_is_no_event() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.send(frame(b"unasked", PONG) + frame(message([FIRST])))
        lb.await_records(1)
        peer.send(frame(b"now", PING))
        assert peer.receive().payload == b"now", "the first frame that lb sends"


@pytest.mark.parametrize(
    ("payload", "answer", "said"),
    [
        (b"", b"", "no close code"),
        (struct.pack("!H", 1000), struct.pack("!H", 1000), "close code 1000"),
        (struct.pack("!H", 1001) + b"going away", struct.pack("!H", 1001), "close code 1001 going away"),
        (struct.pack("!H", 1008) + "pölicy".encode(), struct.pack("!H", 1008), "close code 1008 pölicy"),
        (struct.pack("!H", 1011), struct.pack("!H", 1011), "close code 1011"),
        (struct.pack("!H", 1013), struct.pack("!H", 1013), "close code 1013"),
        (struct.pack("!H", 3000), struct.pack("!H", 3000), "close code 3000"),
        (struct.pack("!H", 4999) + b"x" * 123, struct.pack("!H", 4999), "close code 4999"),
    ],
)
def test_a_close_is_answered_with_its_code_and_obeyed(payload: bytes, answer: bytes, said: str) -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.session() as peer:
            peer.send(frame(message([FIRST])) + frame(payload, CLOSE))
            (closing,) = peer.receive_to_end()
            assert (closing.opcode, closing.payload) == (CLOSE, answer)
        assert said in lb.await_line("session lost")["reason"]
        with feed.session() as peer:
            peer.say(message([SECOND]))
            assert lb.await_records(2).pipes == {0: [FIRST, SECOND]}


def test_a_close_during_the_dialogue_is_told() -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.connection().upgrade() as peer:
            peer.close(1013, b"try again later")
            (closing,) = peer.receive_to_end()
            assert closing.opcode == CLOSE
        assert "close code 1013 try again later" in lb.await_line("no session")["reason"]


def test_at_a_stop_the_feed_gets_a_close_frame_with_code_1000() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        lb.await_line("session open")
        assert lb.stop().exit_code == 0
        assert [closing.close_code for closing in peer.receive_to_end()] == [1000]


# messages that are not what a feed sends


@pytest.mark.parametrize(
    ("text", "before", "fault"),
    [
        pytest.param(b"garbage", [], "neither a JSON array nor", id="garbage"),
        pytest.param(FIRST + SECOND, [FIRST], "behind the array or object", id="two objects"),
        pytest.param(b"", [], "array", id="nothing"),
        pytest.param(b'"[]"', [], "neither a JSON array nor", id="a string"),
        pytest.param(b"\x00\x01\x02\x03", [], "neither a JSON array nor", id="binary"),
        pytest.param(b"[" + FIRST + b",1]", [FIRST], "not an object", id="a number in the array"),
        pytest.param(
            b"[" + FIRST + b",null,1," + SECOND + b"]", [FIRST, SECOND], "not an object", id="between records"
        ),
        pytest.param(b"[" + FIRST + b"," + SECOND[:-1], [FIRST], "ends before its array", id="truncated object"),
        pytest.param(b"[" + FIRST + b"," + SECOND, [FIRST, SECOND], "ends before its array", id="no end of the array"),
        pytest.param(b"[" + FIRST + SECOND + b"]", [FIRST], "neither ',' nor ']'", id="no comma"),
        pytest.param(b"[" + FIRST + b"]" + b"[]", [FIRST], "behind the array", id="two arrays"),
        pytest.param(b'[{"a":"', [], "ends before its array", id="open string"),
    ],
)
def test_a_malformed_message_is_told_and_costs_nothing_but_itself(text: bytes, before: list[bytes], fault: str) -> None:
    with Feed() as feed, Lb(feed.url, 1, "--stats-interval", "0") as lb, feed.session() as peer:
        peer.send(frame(text) + frame(message([THIRD])))
        assert lb.await_records(len(before) + 1).pipes == {0: [*before, THIRD]}
        line = lb.await_line("malformed message", level="error")
        assert fault in line["fault"]
        assert 0 <= line["offset_bytes"] <= len(text)
        assert line["unlogged"] == 0
        end = lb.stop()
        assert end.statistics["malformed"] == 1
        assert end.statistics["reconnects"] == 0
        assert end.balance["exact"]


def test_a_flood_of_malformed_messages_is_one_line_a_second() -> None:
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.send(frame(b"garbage") * 10_000 + frame(message([FIRST])))
        lb.await_records(1)
        end = lb.stop()
        assert end.statistics["malformed"] == 10_000
        assert sum(line["message"] == "malformed message" for line in lb.lines) < 10


def test_an_array_cut_by_the_end_of_the_connection_loses_only_what_did_not_come() -> None:
    with Feed() as feed, Lb(feed.url, constants=SOON) as lb:
        with feed.session() as peer:
            peer.send(frame(message([FIRST, SECOND]))[:-5])
        line = lb.await_line("session lost")
        assert line["cut_off_bytes"] == len(SECOND) + 1 - 5
        with feed.session() as peer:
            peer.say(message([THIRD]))
            assert lb.await_records(2).pipes == {0: [FIRST, THIRD]}
        assert lb.stop().balance["exact"]


def test_records_are_delivered_byte_for_byte_whatever_they_hold() -> None:
    records = [
        b'{"ev":"T","sym":"BRK.B","x":[1,[2,{"y":"]}"}]],"s":"a\\"b\\\\"}',
        b'{ "ev" : "AM" , "sym" : "A" }',
        b"{}",
        b'{"ev":"T","sym":"\\u0041"}',
        '{"ev":"T","sym":"Äöü€😀"}'.encode(),
        b'{"status":"no status record","ev":"T"}',
        b'{"ev":"lagg","ms":5}',
        b'{"ev":"Q","sym":"A","status":"status"}',
        b'{"ev":"T","s":4.522e-05,"n":\n\tnull}',
    ]
    assert all(isinstance(json.loads(record), dict) for record in records)
    with Feed() as feed, Lb(feed.url) as lb, feed.session() as peer:
        peer.say(b"[" + b" ,\n".join(records) + b"\r\n]")
        assert lb.await_records(len(records)).pipes == {0: records}


def test_the_opcode_of_what_lb_says_is_text() -> None:
    with Feed() as feed, Lb(feed.url), feed.connection().upgrade() as peer:
        peer.say(CONNECTED)
        assert peer.receive().opcode == TEXT

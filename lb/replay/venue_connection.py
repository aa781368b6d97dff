"""A client of a venue's fake: a session of its websocket, or one REST request. One thread, as `connection`."""

import heapq
import math
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import parse_qsl

from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from lb.replay.connection import Connection, Parcel
from lb.replay.fake import Fake, Reply, Stream, Talk, Words
from lb.replay.frames import text_frame
from lb.replay.tally import Tally
from lb.replay.trouble import Twist
from lb.replay.venue_faults import Plan, VenueFault
from lb.replay.wire import WakeUp, Wire

# Of what is due, so much is written at once.
_PIECE_BYTES = 1 << 17


class VenueConnection(Connection):
    """What is public is to be ordered by other threads."""

    def __init__(
        self,
        wire: Wire,
        wake_up: WakeUp,
        tally: Tally,
        fake: Fake,
        ping_interval_s: float,
        plan: Plan,
        suffer: Callable[[VenueFault], None],
    ) -> None:
        super().__init__(wire, wake_up, tally, ping_interval_s)
        self._fake = fake
        self._plan = plan
        self._suffer = suffer
        self._talk: Talk | None = None
        self._opened_ns = 0
        self._agenda: list[tuple[float, int, Stream]] = []
        """A heap of the streams by when their next change is due."""
        self._streams = 0

    # For other threads, by order()

    def look_again(self) -> None:
        """Books have changed otherwise than by the clock."""
        self._agenda = [(stream.due_ns(), number, stream) for _, number, stream in self._agenda]
        heapq.heapify(self._agenda)

    def drop(self) -> None:
        """Ends the stream without a close frame."""
        self._end(abrupt=True)

    def close_with(self, code: int) -> None:
        self._close(code)

    def stall(self, stall_s: float) -> None:
        """Sends nothing and reads nothing."""
        self._stalled_until_ns = time.monotonic_ns() + stall_s * 1e9

    def look_at_age(self) -> None:
        """How old a session may get is another now."""
        self._deadline_ns = self._opened_ns + self._plan.life_s * 1e9

    def say_farewell(self) -> None:
        """The venue's word that the session is to end soon, where it has one."""
        assert self._talk is not None
        word = self._talk.farewell()
        if word is not None:
            self._say(word)

    # What comes

    def _request(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        talk = self._fake.talk(path, query) if "Upgrade" in request.headers else None
        if talk is None:
            self._respond(self._fake.rest(path, dict(parse_qsl(query))))
        elif self._open(request):
            self._talk = talk
            self._opened_ns = time.monotonic_ns()
            self._plan.begin(self._opened_ns)
            self.look_at_age()
            self._obey(talk.begin())
            self._take_up()

    def _respond(self, reply: Reply) -> None:
        headers = Headers(reply.headers)
        headers["Content-Type"] = "application/json"
        headers["Content-Length"] = str(len(reply.body))
        headers["Connection"] = "close"
        self._tally.add(requests_total=1)
        reason = HTTPStatus(reply.status).phrase
        self._protocol.send_response(Response(reply.status, reason, headers, reply.body))

    def _hear_text(self, text: bytes) -> None:
        assert self._talk is not None
        self._obey(self._talk.hear(text, time.monotonic_ns()))
        self._take_up()

    def _run_late(self) -> None:
        """It is as old as it may get."""
        self._close(CloseCode.GOING_AWAY)

    def _hear_control(self) -> None:
        assert self._talk is not None
        self._obey(self._talk.hear_control(time.monotonic_ns()))

    def _obey(self, words: Words) -> None:
        for text in words.texts:
            self._say(text)
        if words.close is not None:
            self._close(*words.close)

    def _take_up(self) -> None:
        """Streams that have come."""
        assert self._talk is not None
        for stream in self._talk.streams:
            if (text := stream.opening()) is not None:
                self._say(text)
            self._streams += 1
            heapq.heappush(self._agenda, (stream.due_ns(), self._streams, stream))
        self._talk.streams.clear()
        self._next_data_ns = 0

    # What goes

    def _pack_data(self) -> None:
        if self._talk is None:
            return
        now_ns = time.monotonic_ns()
        if now_ns >= self._talk.next_ns:
            self._obey(self._talk.tick(now_ns))
        frames: list[bytes] = []
        size_bytes = 0
        agenda = self._agenda
        is_planned = not self._plan.is_over
        while agenda and agenda[0][0] <= now_ns and size_bytes < _PIECE_BYTES:
            if is_planned and self._has_suffered(now_ns):
                break
            _, number, stream = agenda[0]
            if stream.is_over:
                heapq.heappop(agenda)
                continue
            stream.sent += 1
            for text in self._messages(stream):
                frames.append(text_frame(text))
                size_bytes += len(text)
            heapq.heapreplace(agenda, (stream.due_ns(), number, stream))
        if frames:
            piece = b"".join(frames)
            self._outbox.append(Parcel(memoryview(piece), messages=len(frames), size_bytes=len(piece)))
            self._talk.has_sent(now_ns)
        if is_planned and not frames:
            self._has_suffered(now_ns)
        self._next_data_ns = min(agenda[0][0] if agenda else math.inf, self._talk.next_ns, self._plan.next_ns())

    def _has_suffered(self, now_ns: int) -> bool:
        """A fault was due, and is on its way to all sessions."""
        fault = self._plan.take(now_ns)
        if fault is None:
            self._plan.count_message()
            return False
        self._tally.add(faults_total=1)
        self._suffer(fault)
        return True

    def _messages(self, stream: Stream) -> list[bytes]:
        trouble = self._fake.trouble
        if not trouble.is_any:
            text = stream.message(stream.sent, None)
            return [] if text is None else [text]
        symbol = stream.symbol
        twist = trouble.take(symbol, stream.able)
        if twist is not None:
            self._tally.add(faults_total=1)
        text = stream.message(stream.sent, twist)
        if text is None or twist is Twist.GAP or trouble.is_silent(symbol):
            return []
        return [text, text] if twist is Twist.DUPLICATE else [text]

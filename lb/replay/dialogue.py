"""The feed's half of the dialogue: what a client says, and what the feed answers. No I/O, no clock.

The texts are those of the real feed, byte for byte as clients have captured them: compact JSON, always an array.
Programs should match on `status` and treat `message` as free text.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from lb.replay.topics import KNOWN_EVENTS, Topic, Topics


def status(status: str, message: str) -> bytes:
    """One status record, without the array around it."""
    return orjson.dumps({"ev": "status", "status": status, "message": message})


def array(*records: bytes) -> bytes:
    """A message: records, each a JSON object, as one array."""
    return b"[" + b",".join(records) + b"]"


CONNECTED = array(status("connected", "Connected Successfully"))
AUTHENTICATED = array(status("auth_success", "authenticated"))
AUTH_FAILED = array(status("auth_failed", "authentication failed"))
AUTH_REQUIRED = array(status("auth_required", "authentication required"))
AUTH_TIMEOUT = array(status("auth_timeout", "No authentication request received."))
INVALID_JSON = array(status("error", "Invalid JSON"))
# The vendor's documents name this status; a capture of its text is not known.
SLOW_CONSUMER = array(status("slow_consumer", "The buffer of this connection is full: it is read too slowly."))
# The space before the closing quote is the feed's own.
MAX_CONNECTIONS = array(status("max_connections", "Maximum number of websocket connections exceeded. "))


@dataclass(frozen=True)
class Answer:
    """What to do about one message of the client."""

    text: bytes | None = None
    """The message to send, if any: unknown actions and topics get none."""
    refused: bool = False
    """Hang up after the text, abruptly, without a close frame."""
    retuned: bool = False
    """The subscription has changed."""


class Dialogue:
    """One client's standing with the feed: authenticated or not, and its topics.

    `key` is the one that is accepted; `events` are event types that are known besides those of the vendor's documents;
    `refuses` says, once for each authentication, whether it is to be refused in any case.
    """

    def __init__(
        self, key: str, events: frozenset[str] = frozenset(), refuses: Callable[[], bool] = lambda: False
    ) -> None:
        self._key = key.encode()
        self._events = KNOWN_EVENTS | events
        self._refuses = refuses
        self.authenticated = False
        self.topics = Topics()

    def hear(self, text: bytes) -> Answer:
        """Takes one message of the client (a JSON object) and says what follows."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            return Answer(INVALID_JSON)
        if not isinstance(request, dict) or not isinstance(request.get("params"), str):
            return Answer(INVALID_JSON)
        params: str = request["params"]
        match request.get("action"):
            case "auth":
                return self._authenticate(params)
            case "subscribe" | "unsubscribe" if not self.authenticated:
                return Answer(AUTH_REQUIRED)
            case "subscribe":
                return self._subscribe(self._known(params))
            case "unsubscribe":
                return self._unsubscribe(self._known(params))
            case _:
                return Answer()

    def _authenticate(self, key: str) -> Answer:
        self.authenticated = hmac.compare_digest(key.encode(), self._key) and not self._refuses()
        return Answer(AUTHENTICATED) if self.authenticated else Answer(AUTH_FAILED, refused=True)

    def _known(self, params: str) -> list[Topic]:
        """The topics among the parameters, in their order, each once."""
        topics = dict.fromkeys(Topic.parse(param.strip()) for param in params.split(","))
        return [topic for topic in topics if topic is not None and topic.event in self._events]

    def _subscribe(self, asked: list[Topic]) -> Answer:
        new = [topic for topic in asked if topic not in self.topics.members]
        self.topics = Topics(self.topics.members.union(new))
        return self._acknowledge("subscribed to: ", new)

    def _unsubscribe(self, asked: list[Topic]) -> Answer:
        held = [topic for topic in asked if topic in self.topics.members]
        self.topics = Topics(self.topics.members.difference(held))
        return self._acknowledge("unsubscribed to: ", held)

    def _acknowledge(self, words: str, topics: list[Topic]) -> Answer:
        """One status record per topic, all in one message; nothing at all where nothing changed."""
        if not topics:
            return Answer()
        return Answer(array(*(status("success", f"{words}{topic}") for topic in topics)), retuned=True)

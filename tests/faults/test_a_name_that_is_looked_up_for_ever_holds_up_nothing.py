"""A name server that does not answer: getaddrinfo(3) waits, and neither the balance nor a stop waits with it."""

from __future__ import annotations

from pathlib import Path

from harness import Feed, Lb, message
from harness.flood import record
from harness.preload import preload

# Tells that it was asked by making the folder ASKED, and answers once there is a file GATE.
SLOW_RESOLVER = r"""
struct addrinfo;
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*const next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (int (*)())dlsym(RTLD_NEXT, "getaddrinfo");
    mkdir(getenv("ASKED"), 0700);
    while (access(getenv("GATE"), F_OK) < 0)
        usleep(1000);
    return next(node, service, hints, found);
}
"""


def slow_resolver(folder: Path) -> dict[str, str]:
    return preload(folder, SLOW_RESOLVER) | {"ASKED": str(folder / "asked"), "GATE": str(folder / "gate")}


def test_a_stop_is_obeyed_meanwhile(tmp_path: Path) -> None:
    with Lb("ws://localhost:1/stocks", environment=slow_resolver(tmp_path)) as lb:
        while not (tmp_path / "asked").exists():
            pass
        assert lb.balance()["exact"]
        assert lb.stop().exit_code == 0


def test_the_session_begins_with_the_answer_and_an_attempt_given_up_is_followed_by_the_next(tmp_path: Path) -> None:
    few = {"lb.feed.keeper.ATTEMPT_TIMEOUT_S": 0.3}
    with (
        Feed(name="localhost") as feed,
        Lb(feed.url, environment=slow_resolver(tmp_path), constants=few) as lb,
    ):
        assert lb.await_line("no session")["reason"] == "no session within 0.3 s"
        (tmp_path / "gate").touch()
        while True:  # what the attempt that was given up has opened is closed without a word
            with feed.connection() as peer:
                try:
                    peer.upgrade().converse()
                except (EOFError, OSError):
                    continue
                peer.say(message([record(0)]))
                lb.await_records(1)
                assert lb.stop().exit_code == 0
                break

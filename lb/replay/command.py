"""The command line of `lb` that fits a server: to be pasted into another terminal as it is."""

import shlex
import shutil
import sys
from pathlib import Path

from lb.replay.player import End, Playback

_EVERYWHERE = {"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"}
_PIPES = 4


def lb_command(key_form: str, url: str, ca_file: Path | None, events: frozenset[str], playback: Playback) -> str:
    """`key_form` is how the key was given to the server, `events` are the event types of its tape.

    Where the server ends a session normally, `lb` would be sent the same once more: so it gets --once.
    """
    words = [_program("lb")]
    if playback.end is End.CLOSE and playback.drop_every_records is None:
        words.append("--once")
    if ca_file is not None:
        words += ["--ca-file", str(ca_file)]
    topics = ",".join(f"{event}.*" for event in sorted(events) if event)
    if topics not in ("", "T.*"):
        words += ["--subscribe", topics]
    for everywhere, here in _EVERYWHERE.items():
        url = url.replace(everywhere, here)
    return shlex.join([*words, key_form, url, str(_PIPES), ".", _program("lb-count")])


def lb_command_for_venue(venue: str, url: str, ca_file: Path | None, topic: str) -> str:
    """The same for the fake of a venue, which wants no key."""
    words = [_program("lb"), "--feed", venue, "--subscribe", topic]
    if ca_file is not None:
        words += ["--ca-file", str(ca_file)]
    for everywhere, here in _EVERYWHERE.items():
        url = url.replace(everywhere, here)
    return shlex.join([*words, "none", url, "1", ".", _program("lb-count")])


def _program(name: str) -> str:
    """By its name alone where a shell finds the one that is installed beside this program."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    return str(beside) if beside.exists() and (found is None or not beside.samefile(found)) else name

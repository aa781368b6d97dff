"""librdkafka's own settings, as the command line names them (-X).

Law: a secret is never on a command line, nor in a text of ours.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from trade_balancer.errors import UsageError
from trade_balancer.sources import add_setting

Settings = Mapping[str, str]

_SECRET = re.compile(r"password|secret|passphrase|key\.pem$|oauthbearer\.config")
"""In the name of one."""
_BROKERS = "bootstrap.servers"


def add_options(parser: argparse.ArgumentParser, name: str, help_text: str) -> None:
    """The brokers, by an option of that name, and -X."""
    parser.add_argument(name, metavar="BROKERS", dest="brokers", help=f"{help_text}: HOST:PORT,...")
    add_setting(
        parser.add_argument,
        "a setting of librdkafka's, such as security.protocol=SASL_SSL, or @FILE with one a line, in which a password "
        "may be, too",
    )


def settings_of(brokers: str, words: Iterable[str]) -> dict[str, str]:
    """Those of -X, and the brokers.

    Raises:
        UsageError: a word is no setting, a file can't be read, or a secret stands on the command line.
    """
    settings = {_BROKERS: brokers}
    for word in words:
        if word.startswith("@"):
            settings |= _settings_in(Path(word[1:]))
        else:
            name, value = _setting(word, f"-X {word}")
            if _SECRET.search(name):
                raise UsageError(f"-X {name}: everybody here sees a command line: put it into a file (-X @FILE)")
            settings[name] = value
    return settings


def _setting(text: str, place: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{place}: NAME=VALUE is wanted")
    return name.strip(), value.strip()


def _settings_in(path: Path) -> dict[str, str]:
    """Of a wrong line only the number is told: it may be a part of a secret."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as fault:
        raise UsageError(f"-X: cannot read {path}: {getattr(fault, 'strerror', 'it is no text')}") from None
    return dict(
        _setting(line, f"-X: line {number} of {path}")
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )

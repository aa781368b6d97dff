"""librdkafka's own settings, as the command line names them (-X).

Law: a secret is never on a command line, nor in a text of ours.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from trade_balancer.errors import UsageError
from trade_balancer.sources import add_setting

Settings = Mapping[str, str]

_SECRETS = (
    *("sasl.password", "sasl.oauthbearer.client.secret"),
    *("ssl.key.password", "ssl.key.pem", "ssl.keystore.password"),
)
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
            settings |= dict(_setting(line) for line in _lines(Path(word[1:])))
        else:
            name, value = _setting(word)
            if name in _SECRETS:
                raise UsageError(f"-X {name}: everybody here sees a command line: put it into a file (-X @FILE)")
            settings[name] = value
    return settings


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"-X {name.strip()}: NAME=VALUE is wanted")
    return name.strip(), value.strip()


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as fault:
        raise UsageError(f"-X: cannot read {path}: {getattr(fault, 'strerror', 'it is no text')}") from None
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

"""The command `lb-replay`."""

import importlib
import os
import sys
from typing import Any

from lb.replay import options
from lb.replay.errors import ReplayError, UnavailableError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code. Every fault of the user's is one line on standard error."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == ["info"]:
            _imported("lb.replay.info").main(words[1:])
        else:
            asked = options.parse(words)
            _imported("lb.replay.serve").serve(asked)
    except ReplayError as error:
        print(f"lb-replay: {error}", file=sys.stderr)
        return error.exit_code
    return os.EX_OK


def _imported(module: str) -> Any:
    """A part that needs packages. Raises UnavailableError."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UnavailableError(f"the package {error.name!r} is missing: pip install 'trade-balancer[replay]'") from None

"""The command `lb-replay`."""

import os
import sys

from lb.replay import options
from lb.replay.errors import ReplayError, UnavailableError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit code. Every fault of the user's is one line on standard error."""
    try:
        asked = options.parse(arguments)
        try:
            from lb.replay.serve import serve
        except ModuleNotFoundError as error:
            raise UnavailableError(
                f"the package {error.name!r} is missing: pip install 'trade-balancer[replay]'"
            ) from None
        serve(asked)
    except ReplayError as error:
        print(f"lb-replay: {error}", file=sys.stderr)
        return error.exit_code
    return os.EX_OK

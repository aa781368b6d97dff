"""The command `lb-replay`, also as `python -m lb.replay`. Law: as in lb/__main__.py, SIGINT comes first."""

import signal
import sys


def main() -> int:
    """Entry point of the command; returns its exit code. Until the server runs, SIGINT simply ends it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lb.replay import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())

"""The command `lb`, also as `python -m lb`. Law: SIGINT is taken from Python before anything else is imported: its own
handler would answer Ctrl-C with a traceback from amid the imports."""

import signal
import sys


def main() -> int:
    """Entry point of the command; returns its exit code. Until the balancer catches signals, SIGINT simply ends it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as nohup's like may want
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lb import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())

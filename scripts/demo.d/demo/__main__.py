"""`python -m demo SHOW SECONDS`: each show is a file here. Law: SIGINT is Python's only after all other imports."""

import signal
import sys
from importlib import import_module


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo.programs import Failed

    show = import_module(f"demo.{sys.argv[1]}").show
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(show(int(sys.argv[2])))
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m demo SHOW SECONDS`; the shows are below. Law: SIGINT is Python's only after all other imports."""

import signal
import sys


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from demo import bars, books, emit, kafka, ledger, market, page, plain, record, tap, upgrade
    from demo.programs import Failed

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shows = {"market": market, "bars": bars, "plain": plain, "tap": tap, "record": record}
    shows |= {"page": page, "books": books, "emit": emit, "kafka": kafka, "upgrade": upgrade}
    shows |= {"ledger": ledger}
    show = shows[sys.argv[1]].show
    try:
        return show(int(sys.argv[2]))
    except KeyboardInterrupt:
        print("\ndemo: stopped", file=sys.stderr)
        return 130
    except Failed as failure:
        print(f"demo: {failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

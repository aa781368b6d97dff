"""The command `lb-setup`, also as `python -m lb.setup`."""

import sys

from lb.setup.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m lb` is the command `lb`."""

import sys

from lb.cli import main

sys.exit(main())

"""`python -m trade_balancer.page`: how lb starts it, wherever the commands are."""

import sys

from trade_balancer.page.program import main

if __name__ == "__main__":
    sys.exit(main())

"""The short name of `trade_balancer`, the worker SDK: the same objects.

Law: nothing of its own. A project that has a folder `workers/` of its own imports `trade_balancer`.
"""

from typing import TYPE_CHECKING

from trade_balancer import *  # noqa: F403
from trade_balancer import __all__ as __all__

if TYPE_CHECKING:
    from trade_balancer.typed import *  # noqa: F403
else:
    from trade_balancer import __getattr__ as __getattr__

"""lb as a service: what its manager is told, and what it has given."""

from lb.service.condition import Condition
from lb.service.manager import Manager
from lb.service.service import Service

__all__ = ["Condition", "Manager", "Service"]

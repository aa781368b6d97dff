"""lb as a service: what its manager is told, what it has given, and the process that shows it to browsers."""

from lb.service.condition import Condition
from lb.service.manager import Manager
from lb.service.page import Page
from lb.service.service import Service

__all__ = ["Condition", "Manager", "Page", "Service"]

"""One program takes the process over from another: what it is told, and how it is asked first (docs/upgrade.md).

Law: knows nothing of what it hands over but that it is JSON, and which descriptors stay open.
"""

from lb.handover.document import VERSION, HandOverRefused, jump, leave, take
from lb.handover.question import ARGUMENT, Question, answer
from lb.handover.upgrade import Ports, Upgrade
from lb.handover.way import Way

__all__ = [
    "ARGUMENT",
    "VERSION",
    "HandOverRefused",
    "Ports",
    "Question",
    "Upgrade",
    "Way",
    "answer",
    "jump",
    "leave",
    "take",
]

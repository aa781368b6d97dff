"""The control socket: programs ask a running lb, and tell it what to do.

Law: knows neither feed nor workers. The balancer gives it callables (verbs.Ports), and it hangs on the wake-up epoll;
nothing in it waits, and a client can neither delay nor stop the dealing.
"""

from lb.control.client import Later
from lb.control.listener import Listener
from lb.control.protocol import Refusal
from lb.control.server import Answer, Server
from lb.control.verbs import Attached, Attachment, Change, Ports, verbs_of

__all__ = ["Answer", "Attached", "Attachment", "Change", "Later", "Listener", "Ports", "Refusal", "Server", "verbs_of"]

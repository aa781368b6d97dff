"""What the tests of `lb` as a process stand on: a feed that a test plays frame by frame, `lb` itself, and a worker that
tells what it got. Law: nothing here sleeps; whatever is waited for has an event and a time limit."""

from harness.authority import Authority
from harness.feed import Feed, Frame, Peer, frame, message
from harness.flood import Flood
from harness.lb_process import KEY, SOON, End, Lb, inline, lb_environment, run_lb
from harness.recorder import RECORDER
from harness.recording import Recording
from harness.replay import replay

__all__ = [
    "KEY",
    "RECORDER",
    "SOON",
    "Authority",
    "End",
    "Feed",
    "Flood",
    "Frame",
    "Lb",
    "Peer",
    "Recording",
    "frame",
    "inline",
    "lb_environment",
    "message",
    "replay",
    "run_lb",
]

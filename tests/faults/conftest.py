"""What holds for every test here: see harness.fixtures."""

from harness.fixtures import authority, data, no_leaked_fds

__all__ = ["authority", "data", "no_leaked_fds"]

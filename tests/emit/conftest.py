"""What holds for every test here: see harness.fixtures."""

from harness.fixtures import authority

__all__ = ["authority"]

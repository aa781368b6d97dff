"""What holds for every test here: see harness.fixtures."""

from harness.fixtures import authority, data

__all__ = ["authority", "data"]

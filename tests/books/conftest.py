"""What holds for every test here: see harness.fixtures."""

from harness.fixtures import data

__all__ = ["data"]

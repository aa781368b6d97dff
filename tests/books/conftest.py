"""What holds for every test here: see harness.fixtures."""

from harness.fixtures import data, prometheus_folder

__all__ = ["data", "prometheus_folder"]

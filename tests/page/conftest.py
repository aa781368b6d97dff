"""What holds for every test here: see harness.fixtures."""

from __future__ import annotations

from harness.fixtures import authority, prometheus_folder

__all__ = ["authority", "prometheus_folder"]

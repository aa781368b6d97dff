"""The brokers are those of the workers' tests."""

from __future__ import annotations

import sys
from pathlib import Path

WORKERS = Path(__file__).parents[1] / "workers"
sys.path += [str(WORKERS), str(WORKERS / "kafka")]

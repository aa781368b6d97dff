"""Hours of lb under faults, judged to the record: see `scripts/soak --help`."""

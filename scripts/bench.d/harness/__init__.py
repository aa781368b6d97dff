"""The benchmark's runner: builds the programs, runs all candidates side by side, checks, measures and reports."""

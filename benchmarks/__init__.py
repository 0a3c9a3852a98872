"""Benchmarks: cvlab against its peers, as ratios. `python -m benchmarks` runs all; see `benchmarks.timing.Row`."""

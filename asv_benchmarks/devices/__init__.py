"""A device's own figures: `python -m asv_benchmarks.devices`."""

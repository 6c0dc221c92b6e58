"""Programs that measure and print; each is run as ``python -m benchmarks.NAME``."""

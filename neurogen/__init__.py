"""RTL generator for event-driven neuromorphic accelerators."""

__version__ = "0.1.0"

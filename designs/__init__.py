"""Designs: one folder each, with its command line; ``python -m designs.NAME``."""

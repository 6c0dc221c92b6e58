"""The integer contract: every parameter of every component, and of whole networks.

Frozen dataclasses and their checks. Imports the standard library and NumPy (for weights) only; golden
models and gateware meet here and nowhere else.
"""

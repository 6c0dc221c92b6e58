"""Python functions as asynchronous circuits: front end, static-token dataflow graph, passes, token simulator.

The rules of the subset and the meaning of numbers are in ``docs/qdi.md``.
"""

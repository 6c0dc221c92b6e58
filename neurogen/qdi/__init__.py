"""Python functions as asynchronous circuits: front end, static-token dataflow graph, passes, token simulator.

The rules of the subset and the meaning of numbers are in ``docs/qdi.md``.
"""

from neurogen.qdi.compile import Mismatch, check, compile
from neurogen.qdi.graph import Graph, GraphError
from neurogen.qdi.python.errors import QdiError, QdiWarning, RangeError
from neurogen.qdi.python.process import Process, process
from neurogen.qdi.python.types import Bit, Mem, Rom, S, State, Stream, U
from neurogen.qdi.tokens import Deadlock, simulate


__all__ = ["Bit", "Deadlock", "Graph", "GraphError", "Mem", "Mismatch", "Process", "QdiError", "QdiWarning",
           "RangeError", "Rom", "S", "State", "Stream", "U", "check", "compile", "process", "simulate"]

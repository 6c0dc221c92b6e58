"""Dual-rail, four-phase, quasi-delay-insensitive circuits at the level of gates."""

from neurogen.qdi.gates.build import build, build_block
from neurogen.qdi.gates.netlist import Builder, Channel, Gate, Netlist


__all__ = ["Builder", "Channel", "Gate", "Netlist", "build", "build_block"]

"""Where the neurons of a part of a population are in the rows of the memories."""

from dataclasses import dataclass
from functools import cached_property

from neurogen.mapping.plan import Window
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.mega import BANKS, BLOCK


__all__ = ["Block", "Piece", "Place", "ceil_div", "whole_blocks"]


def ceil_div(a: int, b: int) -> int:
    """Return the quotient, rounded up."""
    return -(-a // b)


def whole_blocks(rows: int) -> int:
    """Return the rows rounded up to whole blocks."""
    return ceil_div(rows, BLOCK) * BLOCK


@dataclass(frozen=True)
class Piece:
    """A part of a population that one pass computes.

    Parameters
    ----------
    name
        Population.
    window
        Part; ``c0`` and ``c1`` cut at whole output groups (state rows of a vector).
    loaded
        Its weights come from the external memory in every step.
    """

    name: str
    window: Window
    loaded: bool = False


@dataclass
class Place:
    """A piece with its addresses.

    Parameters
    ----------
    piece, node
        What is placed.
    total
        Lanes of all clusters.
    planes
        Most spikes of a neuron in a step: each has spike rows, and a sweep, of its own.
    slots
        Slots of the ring of spike rows.
    state, membrane, spike, parameters
        First rows: of what takes the input, of ``V`` of a CuBa-LIF, of spikes, of parameters.
    per_neuron
        Each bank of each row has parameters of its own.
    again
        ``parameters`` and ``per_neuron`` of the sweeps after the first one: without bias.
    always
        Neurons without input must be swept as well.
    """

    piece: Piece
    node: Lif
    total: int
    planes: int = 1
    slots: int = 1
    state: int = 0
    membrane: int = 0
    spike: int = 0
    parameters: int = 0
    per_neuron: bool = False
    again: tuple[int, bool] = (0, False)
    always: bool = False

    @cached_property
    def vector(self) -> bool:
        """Whether the population is a vector."""
        return len(self.node.shape) == 1

    @cached_property
    def groups(self) -> int:
        """Output groups, or state rows of a vector."""
        return ceil_div(self.piece.window.size[0], self.total * (BANKS if self.vector else 1))

    @cached_property
    def tiles_x(self) -> int:
        """3x3 tiles per line."""
        return 1 if self.vector else ceil_div(self.piece.window.size[2], 3)

    @cached_property
    def tiles(self) -> int:
        """State rows of a group that hold neurons."""
        return self.groups if self.vector else ceil_div(self.piece.window.size[1], 3) * self.tiles_x

    @cached_property
    def group_rows(self) -> int:
        """State rows from group to group."""
        return 1 if self.vector else whole_blocks(self.tiles)

    @cached_property
    def rows(self) -> int:
        """Rows that are reserved."""
        return whole_blocks(self.groups * self.group_rows)

    @property
    def spikes(self) -> bool:
        """Whether the neurons can spike."""
        return self.node.reset is not Reset.NONE

    def ring(self, delay: int = 0, plane: int = 0) -> dict[str, int]:
        """Return the fields that address a plane of the spikes of ``delay`` steps ago."""
        return {"spike_base": self.spike + plane * self.slots * self.rows, "ring_mask": self.slots - 1,
                "ring_stride": self.rows, "ring_phase": -delay % self.slots}

    def scan(self) -> dict[str, int]:
        """Return the fields that say which neurons the spike rows hold."""
        rows = self.groups * self.group_rows
        return {"vector": int(self.vector), "rows": rows,
                "tiles": rows if self.vector else self.group_rows, "tiles_x": self.tiles_x}


@dataclass
class Block:
    """Rows of weights: of output groups ``g0`` to ``g1 - 1``, for source channels ``c0`` to ``c1 - 1``."""

    g0: int
    g1: int
    c0: int
    c1: int
    rows: int = 0
    base: int = 0
    external: int = -1  # first word

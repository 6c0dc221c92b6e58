"""What the clocked blocks of `neurogen.spec.qdi` have in common.

A channel is a stream: a token moves in each cycle with ``valid`` and ``ready``. No ``valid`` depends on a
``ready``, and a token that is offered stays as it is until it is taken. A dataless token has a payload of
one bit, always 0, since Verilog has no ports without bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.spec.qdi import BLOCKS


__all__ = ["ClockedBlock", "Paths", "channel", "join", "spread"]


def channel(width: int) -> stream.Signature:
    """Return the signature of a channel whose tokens have ``width`` bits."""
    return stream.Signature(unsigned(max(1, width)))


@dataclass(frozen=True)
class Paths:
    """Combinational paths through a block.

    Parameters
    ----------
    forward
        Pairs of an input and an output whose ``valid`` or ``payload`` depends on the input's.
    backward
        Pairs of an output and an input whose ``ready`` depends on the output's.
    """

    forward: frozenset[tuple[str, str]]
    backward: frozenset[tuple[str, str]]


class ClockedBlock(wiring.Component):
    """A block of the library, clocked.

    A reset gives it the tokens back that it starts with, and takes all others.

    Parameters
    ----------
    parameters
        Those of the kind in `neurogen.spec.qdi.BLOCKS`, by name.

    Members
    -------
    Inputs and outputs of the kind, each a stream of `channel`.
    """

    kind = ""
    """Kind of the block in `neurogen.spec.qdi.BLOCKS`."""

    def __init__(self, **parameters: Any):
        inputs, outputs = BLOCKS[self.kind].ports(**parameters)
        self._parameters = parameters
        self._widths = {port.name: port.width for port in (*inputs, *outputs)}
        self._inputs = tuple(port.name for port in inputs)
        self._outputs = tuple(port.name for port in outputs)
        super().__init__({port.name: self._member(direction, port)
                          for direction, ports in ((In, inputs), (Out, outputs)) for port in ports})

    @staticmethod
    def _member(direction, port):
        return direction(channel(port.width))

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters by name."""
        return dict(self._parameters)

    @classmethod
    def paths(cls, **parameters: Any) -> Paths:
        """Return the combinational paths: all that could be, where a kind says no better."""
        ins, outs = ([port.name for port in ports] for ports in BLOCKS[cls.kind].ports(**parameters))
        return Paths(frozenset((i, o) for i in ins for o in outs),
                     frozenset((o, i) for i in ins for o in outs))

    @property
    def ins(self) -> list:
        """Input streams, in order."""
        return [getattr(self, name) for name in self._inputs]

    @property
    def outs(self) -> list:
        """Output streams, in order."""
        return [getattr(self, name) for name in self._outputs]

    def data(self, name: str) -> Value:
        """Return the payload of a port in its width (no bits for dataless tokens)."""
        return getattr(self, name).payload[:self._widths[name]]


def join(m: Module, ins: Sequence, o: Any) -> Value:
    """Take one token of each input with each token of ``o``; return the condition that all are there."""
    there = Cat(i.valid for i in ins).all()
    m.d.comb += [o.valid.eq(there), *(i.ready.eq(there & o.ready) for i in ins)]
    return there


def spread(m: Module, valid: Value, outs: Sequence) -> Signal:
    """Offer a token to each output while ``valid``, once to each; return the condition that all have it.

    This is the eager fork: nobody waits for the others, and a register notes who has taken the token.
    """
    done = Signal(len(outs))
    now = Signal(len(outs))
    taken = Signal()
    m.d.comb += [
        now.eq(done | Cat(o.ready for o in outs)),
        taken.eq(now.all()),
        *(o.valid.eq(valid & ~done[k]) for k, o in enumerate(outs)),
    ]
    m.d.sync += done.eq(Mux(valid & ~taken, now, 0))
    return taken

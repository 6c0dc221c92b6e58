"""The array of a Click circuit: words of flip-flops, each with its own gated click.

An access is a request of all three inputs, and the click that takes it stores twice: the output's register
takes the old word, which a tree of multiplexers has picked by the address, and of the words the one that is
written takes the new data. So ``o`` is the word before the access, as the rule of the block wants it, and the
next access finds the new one.

The click of a word is the access's click ANDed with "this word is written". That has settled before the
request ends its chain, and it stands until the click is over: the access is acknowledged at its end. The
words are flip-flops, since a latch that the click opens would need a least width of the click.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.click.logic import ONE, Logic
from neurogen.qdi.gates.netlist import ZERO, Builder


__all__ = ["Words"]



class Words:
    """The words of one array, as far as they come before its click.

    Parameters
    ----------
    b, logic
        Take the gates.
    name
        Of the block.
    parameters
        ``width`` and the initial ``values``.
    write, address
        Data at these inputs.

    Members
    -------
    read
        The word at the address; at one that there is none for, any.
    stores
        For each word, whether it is written: settled when the access's click comes.
    """

    def __init__(self, b: Builder, logic: Logic, name: str, parameters: Mapping[str, Any],
                 write: int, address: Sequence[int]):
        self.b, self.values = b, parameters["values"]
        width = parameters["width"]
        hot = [ONE]
        for bit in reversed(address):
            hot = [logic.and_(side, above) for above in hot for side in (logic.inv(bit), bit)]
        self.stores = [logic.and_(write, up) for up in hot[:len(self.values)]]
        # a word that is never written is a constant
        self.bits = [[(ONE if value >> k & 1 else ZERO) if store == ZERO else b.net(f"{name}.word{n}.{k}")
                      for k in range(width)]
                     for n, (value, store) in enumerate(zip(self.values, self.stores, strict=True))]
        level = [*self.bits, *[self.bits[-1]] * ((1 << len(address)) - len(self.bits))]
        for bit in address:
            level = [[logic.mux(bit, *pair) for pair in zip(*level[k:k + 2], strict=True)]
                     for k in range(0, len(level), 2)]
        self.read = level[0]

    def store(self, control: Logic, click: int, data: Sequence[int]) -> None:
        """Add the flip-flops, which take ``data`` (nets) at the click of an access that writes them."""
        for value, up, word in zip(self.values, self.stores, self.bits, strict=True):
            if up == ZERO:
                continue
            clock = control.and_(click, up)
            for k, (bit, target) in enumerate(zip(data, word, strict=True)):
                self.b.gate("NG_DFFS" if value >> k & 1 else "NG_DFF", bit, clock, self.b.rst, out=target)

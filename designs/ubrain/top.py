"""The clocked chip: AER in, the layers, AER out."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from neurogen.qdi import Graph
from neurogen.qdi.clocked import build
from neurogen.rtl.qdi.borders import AerPort, AerSender, aer


__all__ = ["Chip"]


class Chip(wiring.Component):
    """A graph with a stream ``events`` and a stream ``o``, between two AER links.

    Parameters
    ----------
    graph
        From `designs.ubrain.process.make_graph`.

    Members
    -------
    i : ``In(aer(width of events))``
    o : ``Out(aer(width of results))``
    """

    def __init__(self, graph: Graph):
        self._graph = graph
        self._in, self._out = (graph.nodes[ids[0]].parameters["width"]
                               for ids in (graph.inputs, graph.outputs))
        super().__init__({"i": In(aer(self._in)), "o": Out(aer(self._out))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = AerPort(width=self._in)
        m.submodules.layers = layers = build(self._graph)
        m.submodules.sender = sender = AerSender(self._out)
        m.d.comb += [
            port.i.data.eq(self.i.data), port.i.req.eq(self.i.req), self.i.ack.eq(port.i.ack),
            layers.events.payload.eq(port.o.payload), layers.events.valid.eq(port.o.valid),
            port.o.ready.eq(layers.events.ready),
            sender.i.payload.eq(layers.o.payload), sender.i.valid.eq(layers.o.valid),
            layers.o.ready.eq(sender.i.ready),
            self.o.data.eq(sender.o.data), self.o.req.eq(sender.o.req), sender.o.ack.eq(self.o.ack),
        ]
        return m

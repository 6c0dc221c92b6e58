"""Buses: Wishbone inside, AXI4-Lite and AXI4-Stream towards other people's systems.

Exported ports are called ``<port>__<member>``, such as ``s_axil__awaddr``: cocotbext-axi finds them by
the prefix ``s_axil_`` (one underscore is its own).
"""

from amaranth.hdl import Module, Mux, Shape, ShapeLike, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from neurogen.spec.checks import check_choice, check_int


__all__ = ["AxiLiteSignature", "AxiLiteToWishbone", "AxiStreamSignature", "AxiStreamToStream", "Response",
           "StreamToAxiStream", "WishboneSignature", "last_layout"]


class WishboneSignature(wiring.Signature):
    """Wishbone B4, classic cycles, seen from the initiator; ``adr`` counts words.

    A transfer happens in the cycle in which ``cyc``, ``stb`` and ``ack`` are high. There is no ``sel``:
    words are written whole.

    Parameters
    ----------
    addr_bits
        Width of a word address, at least 1 bit.
    data_bits
        Width of a word, at least 1 bit.
    """

    def __init__(self, addr_bits: int, data_bits: int = 32):
        self._addr_bits = check_int("Address width", addr_bits, minimum=1, unit="bits")
        self._data_bits = check_int("Data width", data_bits, minimum=1, unit="bits")
        super().__init__({
            "cyc":   Out(1),
            "stb":   Out(1),
            "we":    Out(1),
            "adr":   Out(addr_bits),
            "dat_w": Out(data_bits),
            "dat_r": In(data_bits),
            "ack":   In(1),
        })

    @property
    def addr_bits(self) -> int:
        """Width of a word address."""
        return self._addr_bits

    @property
    def data_bits(self) -> int:
        """Width of a word."""
        return self._data_bits

    def __repr__(self) -> str:
        return f"WishboneSignature({self._addr_bits}, {self._data_bits})"


class Response(enum.Enum, shape=2):
    """Responses of AXI4-Lite."""

    OKAY   = 0
    SLVERR = 2


class AxiLiteSignature(wiring.Signature):
    """AXI4-Lite, seen from the manager; addresses count bytes.

    Parameters
    ----------
    addr_bits
        Width of a byte address, at least 1 bit.
    data_bits
        Width of a word: 32 or 64 bits.
    """

    def __init__(self, addr_bits: int, data_bits: int = 32):
        check_int("Address width", addr_bits, minimum=1, unit="bits")
        check_choice("Data width", data_bits, (32, 64))
        super().__init__({
            "awaddr": Out(addr_bits), "awprot": Out(3), "awvalid": Out(1), "awready": In(1),
            "wdata": Out(data_bits), "wstrb": Out(data_bits // 8), "wvalid": Out(1), "wready": In(1),
            "bresp": In(Response), "bvalid": In(1), "bready": Out(1),
            "araddr": Out(addr_bits), "arprot": Out(3), "arvalid": Out(1), "arready": In(1),
            "rdata": In(data_bits), "rresp": In(Response), "rvalid": In(1), "rready": Out(1),
        })


class AxiLiteToWishbone(wiring.Component):
    """AXI4-Lite subordinate that drives a Wishbone bus.

    Address and data of a write may come in any order. Reads and writes that wait at the same time take
    turns. An answer is valid 3 cycles after its request was accepted, plus the bus's wait states; one
    transfer takes 4 cycles. All outputs towards AXI come from registers. A reset abandons all transfers.

    Byte lanes do not exist on this bus: a write with all strobes low does nothing and succeeds; one with
    some strobes low does nothing and answers `Response.SLVERR`. The low bits of an address, inside a word,
    are ignored, as are ``awprot`` and ``arprot``.

    Parameters
    ----------
    addr_bits
        Width of a Wishbone word address; AXI addresses have 2 (or 3, for 64-bit data) bits more.
    data_bits
        Width of a word: 32 or 64 bits.

    Members
    -------
    s_axil : ``In(AxiLiteSignature(...))``
    bus : ``Out(WishboneSignature(addr_bits, data_bits))``
    """

    def __init__(self, addr_bits: int, data_bits: int = 32):
        check_choice("Data width", data_bits, (32, 64))
        self._lane_bits = (data_bits // 8).bit_length() - 1
        super().__init__({
            "s_axil": In(AxiLiteSignature(addr_bits + self._lane_bits, data_bits)),
            "bus": Out(WishboneSignature(addr_bits, data_bits)),
        })

    def elaborate(self, platform):
        axi, bus = self.s_axil, self.bus
        m = Module()
        adr_w, adr_r, strobes = Signal.like(bus.adr), Signal.like(bus.adr), Signal.like(axi.wstrb)
        has_aw, has_w, has_ar = Signal(), Signal(), Signal()
        writing, reading = Signal(), Signal()

        m.d.comb += [
            axi.awready.eq(~has_aw), axi.wready.eq(~has_w), axi.arready.eq(~has_ar),
            bus.cyc.eq(writing | reading), bus.stb.eq(writing | reading), bus.we.eq(writing),
            bus.adr.eq(Mux(writing, adr_w, adr_r)),
        ]
        with m.If(axi.awvalid & axi.awready):
            m.d.sync += [has_aw.eq(1), adr_w.eq(axi.awaddr[self._lane_bits:])]
        with m.If(axi.wvalid & axi.wready):
            m.d.sync += [has_w.eq(1), bus.dat_w.eq(axi.wdata), strobes.eq(axi.wstrb)]
        with m.If(axi.arvalid & axi.arready):
            m.d.sync += [has_ar.eq(1), adr_r.eq(axi.araddr[self._lane_bits:])]

        # A request keeps its `has_` until its response has gone, so that nothing overtakes it. The next one
        # of its kind is a cycle too late for "Choose": what waits of the other kind comes first.
        with m.FSM():
            with m.State("Choose"):
                with m.If(has_ar):
                    m.next = "Read"
                with m.Elif(has_aw & has_w):
                    m.next = "Write"
            with m.State("Write"):
                m.d.comb += writing.eq(strobes.all())
                m.d.sync += axi.bresp.eq(Mux(strobes.all() | ~strobes.any(), Response.OKAY, Response.SLVERR))
                with m.If(bus.ack | ~writing):
                    m.d.sync += axi.bvalid.eq(1)
                    m.next = "Respond"
            with m.State("Read"):
                m.d.comb += reading.eq(1)
                with m.If(bus.ack):
                    m.d.sync += [axi.rvalid.eq(1), axi.rdata.eq(bus.dat_r)]
                    m.next = "Respond"
            with m.State("Respond"):
                with m.If(axi.bvalid & axi.bready):
                    m.d.sync += [axi.bvalid.eq(0), has_aw.eq(0), has_w.eq(0)]
                    m.next = "Choose"
                with m.Elif(axi.rvalid & axi.rready):
                    m.d.sync += [axi.rvalid.eq(0), has_ar.eq(0)]
                    m.next = "Choose"
        return m


class AxiStreamSignature(wiring.Signature):
    """AXI4-Stream, seen from the transmitter.

    Parameters
    ----------
    data_bits
        Width of ``tdata``: a multiple of 8 bits.
    last
        Whether there is a ``tlast``.
    """

    def __init__(self, data_bits: int, *, last: bool = False):
        check_int("Stream width", data_bits, minimum=8, unit="bits")
        if data_bits % 8:
            raise ValueError(f"Stream width must be a multiple of 8 bits, not {data_bits!r}")
        super().__init__({"tdata": Out(data_bits), "tvalid": Out(1), "tready": In(1),
                          **({"tlast": Out(1)} if last else {})})


def last_layout(shape: ShapeLike) -> data.StructLayout:
    """Return the payload of a stream that marks the last word of each packet."""
    return data.StructLayout({"data": shape, "last": 1})


class AxiStreamToStream(wiring.Component):
    """AXI4-Stream to `amaranth.lib.stream`: wires only.

    ``tdata`` is padded to whole bytes; the padding is ignored.

    Parameters
    ----------
    shape
        Shape of the data.
    last
        Whether there is a ``tlast``; the payload is then a `last_layout`.

    Members
    -------
    s_axis : ``In(AxiStreamSignature(...))``
    o : ``Out(stream.Signature(shape))`` or ``Out(stream.Signature(last_layout(shape)))``
    """

    def __init__(self, shape: ShapeLike, *, last: bool = False):
        self._last = last
        super().__init__({
            "s_axis": In(AxiStreamSignature(_whole_bytes(shape), last=last)),
            "o": Out(stream.Signature(last_layout(shape) if last else shape)),
        })

    def elaborate(self, platform):
        m = Module()
        payload = self.o.payload
        m.d.comb += [self.o.valid.eq(self.s_axis.tvalid), self.s_axis.tready.eq(self.o.ready)]
        if self._last:
            m.d.comb += [Value.cast(payload.data).eq(self.s_axis.tdata), payload.last.eq(self.s_axis.tlast)]
        else:
            m.d.comb += Value.cast(payload).eq(self.s_axis.tdata)
        return m


class StreamToAxiStream(wiring.Component):
    """`amaranth.lib.stream` to AXI4-Stream: wires only.

    ``tdata`` is padded to whole bytes, with copies of the sign bit if the data is signed.

    Parameters
    ----------
    shape
        Shape of the data.
    last
        Whether there is a ``tlast``; the payload is then a `last_layout`.

    Members
    -------
    i : ``In(stream.Signature(shape))`` or ``In(stream.Signature(last_layout(shape)))``
    m_axis : ``Out(AxiStreamSignature(...))``
    """

    def __init__(self, shape: ShapeLike, *, last: bool = False):
        self._last = last
        super().__init__({
            "i": In(stream.Signature(last_layout(shape) if last else shape)),
            "m_axis": Out(AxiStreamSignature(_whole_bytes(shape), last=last)),
        })

    def elaborate(self, platform):
        m = Module()
        payload = self.i.payload
        m.d.comb += [self.m_axis.tvalid.eq(self.i.valid), self.i.ready.eq(self.m_axis.tready)]
        if self._last:
            m.d.comb += [self.m_axis.tdata.eq(Value.cast(payload.data)), self.m_axis.tlast.eq(payload.last)]
        else:
            m.d.comb += self.m_axis.tdata.eq(Value.cast(payload))
        return m


def _whole_bytes(shape: ShapeLike) -> int:
    width = check_int("Payload width", Shape.cast(shape).width, minimum=1, unit="bits")
    return (width + 7) // 8 * 8

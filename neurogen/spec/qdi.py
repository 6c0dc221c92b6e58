"""The block library of the Python-to-circuits flow: kinds, parameters and ports of its 44 blocks.

Every backend (tokens, clocked, dual-rail QDI, Click) builds the same kinds with the same port names. A token
on a channel is an integer of ``width`` bits, taken as unsigned; operators to which the sign matters have a
parameter ``signed``. A width of 0 is a dataless token. Names follow the Spyqe abstract.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurogen.spec.checks import check_choice, check_int


__all__ = ["BLOCKS", "Block", "Port"]


@dataclass(frozen=True)
class Port:
    """A channel of a block.

    Parameters
    ----------
    name
        Name of the port.
    width
        Bits of its tokens; 0 if they are dataless.
    """

    name: str
    width: int


@dataclass(frozen=True)
class Block:
    """A kind of block.

    Parameters
    ----------
    number
        Place in the library, 1 to 44.
    kind
        Name in graphs; ``QDI_<kind>`` in netlists, in capitals.
    group
        Chapter of the catalogue.
    parameters
        Names of the parameters, in order.
    inputs, outputs
        ``name:width`` each; the width is a parameter, a number or an expression of parameters;
        ``name*count:width`` stands for ``name0``, ``name1``, ... (``widths[k]`` is then the k-th of a tuple).
    rule
        The firing rule.
    deterministic
        Whether its output streams are a function of its input streams (Kahn).
    """

    number: int
    kind: str
    group: str
    parameters: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    rule: str
    deterministic: bool = True

    def ports(self, **values: Any) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """Return the input and the output ports for parameter values.

        Raises
        ------
        TypeError, ValueError
            If parameters are missing or unknown, or their values are not what `check` accepts.
        """
        self.check(values)
        return (tuple(port for text in self.inputs for port in _expand(text, values)),
                tuple(port for text in self.outputs for port in _expand(text, values)))


    def check(self, values: Mapping[str, Any]) -> None:
        """Check parameter values.

        Widths are at least 0 (a dataless token), those of operators and memories at least 1. A constant
        (``value``, an element of ``values`` or of ``table``) fits its width as an unsigned number, that of
        an ``ltc`` with ``signed`` as a signed one.

        Raises
        ------
        TypeError, ValueError
            If parameters are missing or unknown, or if a value is of the wrong type or out of range.
        """
        if set(values) != set(self.parameters):
            raise ValueError(f"Parameters of {self.kind} must be {', '.join(self.parameters) or 'none'}, "
                             f"not {', '.join(values) or 'none'}")
        for name in self.parameters:
            self._check(name, values[name], values)

    def _check(self, name: str, value: Any, values: Mapping[str, Any]) -> None:
        called = f"Parameter {name} of {self.kind}"
        minimum = int(self.group == "operator" or self.kind in ("ram", "reg"))
        if name == "op":
            check_choice(called, value, ("and", "or", "xor"))
        elif name == "signed":
            if value not in (0, 1):
                raise TypeError(f"{called} must be True or False, not {value!r}")
        elif name in ("width", "out_width", "trigger_width"):
            check_int(called, value, minimum=minimum, unit="bits")
        elif name in ("low", "shift"):
            check_int(called, value, minimum=0, unit="bits")
        elif name in ("n", "depth", "readers"):
            check_int(called, value, minimum=1)
        elif name == "value":
            width = values["width"]
            low, high = (-(1 << width - 1), width - 1) if values.get("signed") else (0, width)
            check_int(called, value, minimum=low, maximum=(1 << high) - 1)
        elif name in ("widths", "in_widths"):
            for item in _items(called, value):
                check_int(f"Each of {name} of {self.kind}", item, minimum=0, unit="bits")
        else:  # contents of a memory, or a truth table
            width = values.get("width", values.get("out_width"))
            for item in _items(called, value):
                check_int(f"Each of {name} of {self.kind}", item, minimum=0, maximum=(1 << width) - 1)
            entries = 1 << sum(values["in_widths"]) if name == "table" else len(value)
            if len(value) != entries:
                raise ValueError(f"{called} must have {entries} entries, not {len(value)}")


def _items(called: str, value: Any) -> list | tuple:
    if not isinstance(value, list | tuple) or not value:
        raise TypeError(f"{called} must be a tuple of integers, not {value!r}")
    return value


def _expand(text: str, values: dict[str, Any]) -> list[Port]:
    name, _, width = text.partition(":")
    name, _, count = name.partition("*")
    if not count:
        return [Port(name, _value(width, values))]
    return [Port(f"{name}{k}", _value(width, values | {"k": k})) for k in range(_value(count, values))]


def _value(text: str, values: dict[str, Any]) -> int:
    """Evaluate what stands in the table below (and only there)."""
    return int(eval(text, {"__builtins__": {}, "len": len, "max": max, "sum": sum}, values))


def _block(number: int, kind: str, group: str, parameters: str, inputs: str, outputs: str, rule: str,
           deterministic: bool = True) -> Block:
    return Block(number, kind, group, *(tuple(text.split()) for text in (parameters, inputs, outputs)),
                 rule, deterministic)


_BITS = "max(1,(len(values)-1).bit_length())"
_TABLE = (
    # Data handling
    (1, "source", "data", "width value", "", "o:width", "emits value for ever"),
    (2, "const", "data", "width value trigger_width", "i:trigger_width", "o:width",
     "one value for each token of i"),
    (3, "buffer", "data", "width", "i:width", "o:width",
     "copies; half a token of capacity (one slot if clocked)"),
    (4, "fifo", "data", "width depth", "i:width", "o:width", "copies; capacity of depth tokens"),
    (5, "init", "data", "width value", "i:width", "o:width", "emits value first, then copies"),
    (6, "fork", "data", "width n", "i:width", "o*n:width", "a copy to each output"),
    (7, "pack", "data", "widths", "i*len(widths):widths[k]", "o:sum(widths)",
     "joins; i0 are the lowest bits"),
    (8, "unpack", "data", "widths", "i:sum(widths)", "o*len(widths):widths[k]",
     "splits; o0 are the lowest bits"),
    (9, "sink_data", "data", "width", "i:width", "", "consumes"),
    (10, "slice", "data", "width low out_width shift signed", "i:width", "o:out_width",
     "((i >> low) << shift) in out_width bits; extended by the sign if signed, else by zeros"),
    # Operators: one token of each input, one of each output
    (11, "adder", "operator", "width", "a:width b:width", "o:width", "a + b modulo 2**width"),
    (12, "sub", "operator", "width", "a:width b:width", "o:width", "a - b modulo 2**width"),
    (13, "addc", "operator", "width value", "a:width", "o:width", "a + value modulo 2**width"),
    (14, "logic", "operator", "width op", "a:width b:width", "o:width",
     "a op b, bit by bit; op: and, or, xor"),
    (15, "not", "operator", "width", "a:width", "o:width", "all bits inverted"),
    (16, "neg", "operator", "width", "a:width", "o:width", "-a modulo 2**width"),
    (17, "lt", "operator", "width signed", "a:width b:width", "o:1", "a < b"),
    (18, "le", "operator", "width signed", "a:width b:width", "o:1", "a <= b"),
    (19, "ltc", "operator", "width value signed", "a:width", "o:1", "a < value"),
    (20, "equal", "operator", "width", "a:width b:width", "o:1", "a == b"),
    (21, "eqc", "operator", "width value", "a:width", "o:1", "a == value"),
    (22, "mask", "operator", "width", "c:1 x:width", "o:width", "x if c else 0"),
    (23, "ternary", "operator", "width", "c:1 x:width y:width", "o:width",
     "x if c else y; consumes all three"),
    (24, "mul", "operator", "width", "a:width b:width", "o:width", "a * b modulo 2**width"),
    (25, "lut", "operator", "in_widths out_width table", "i*len(in_widths):in_widths[k]", "o:out_width",
     "table[i0 | i1 << in_widths[0] | ...]"),
    (26, "rom", "operator", "width values", f"a:{_BITS}", "o:width",
     "values[a]; a must be an index of values"),
    # Flow control
    (27, "select", "control", "width", "s:1 i0:width i1:width", "o:width", "takes s, then one token of i[s]"),
    (28, "branch", "control", "width", "s:1 i:width", "o0:width o1:width", "takes s and i; emits on o[s]"),
    (29, "merge", "control", "width n", "i*n:width", "o:width",
     "emits whichever arrives; the inputs must exclude each other and be unbuffered since their branch"),
    (30, "select_n", "control", "width n", "s:n i*n:width", "o:width", "as select; s is one-hot"),
    (31, "branch_n", "control", "width n", "s:n i:width", "o*n:width", "as branch; s is one-hot"),
    (32, "else_condition", "control", "n", "c*n:1", "o:n+1", "one-hot of the first true condition, or of n"),
    (33, "parallel", "control", "n", "i*n:0", "o*n:0", "takes one of each, releases all"),
    (34, "loop", "control", "", "c:1", "select:1 branch:1",
     "select emits 0 first; then each c is copied to both: init and fork of a loop's condition"),
    (35, "gate", "control", "width", "c:1 i:width", "o:width", "passes i if c, else discards it"),
    (36, "hold", "control", "width", "i:width c:1", "o:width",
     "takes i and emits it; emits it again for each c = 1; drops it at c = 0 and takes the next"),
    # State, memory, arbitration
    (37, "reg", "state", "width value readers", "w:width r*readers:0", "o*readers:width",
     "holds a word, value at first; a token of w replaces it once each reader has read it"),
    (38, "ram", "state", "width values", f"write:1 a:{_BITS} d:width", "o:width",
     "takes write, a and d; emits word a as it was, then stores d there if write; words start at values"),
    (39, "mutex", "state", "", "r0:0 r1:0", "g0:0 g1:0", "grants one request at a time", False),
    (40, "arb_merge", "state", "width", "i0:width i1:width", "o:width",
     "emits whichever arrives first, each once", False),
    (41, "seq", "state", "n", "i:0 done*n:0", "go*n:0 o:0",
     "takes i; then go0, waits for done0, go1, ...; emits o after the last"),
    # Borders
    (42, "stream_to_qdi", "border", "width", "i:width", "o:width",
     "from a clocked valid/ready stream; copies"),
    (43, "qdi_to_stream", "border", "width", "i:width", "o:width", "to a clocked valid/ready stream; copies"),
    (44, "aer_port", "border", "width", "i:width", "o:width",
     "from four-phase bundled-data AER (data, request, acknowledge) to a channel; copies"),
)
BLOCKS: dict[str, Block] = {row[1]: _block(*row) for row in _TABLE}

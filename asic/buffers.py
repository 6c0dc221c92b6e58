"""Trees of buffers on nets with many loads (of registers, resets, enables), which mapping leaves to one gate.

Clocks are left alone, since layout makes their trees; so are constants, which have no edges.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from asic.cells import Cell, Pin
from asic.expressions import parse_expression
from asic.liberty import Library, read_liberty
from asic.pdk import Pdk
from neurogen.flow.errors import UserError


__all__ = ["FANOUT", "buffer_nets"]


FANOUT = 16  # inputs that a gate drives at most
_NEAR = 1.05  # how much slower than the fastest buffer a smaller one may be
_UNKNOWN = Pin("", "input", 0.0, 0.0, False, None)


@dataclass(frozen=True)
class _Load:
    """A bit of an input: its cell, pin and index, and its capacitance in F."""

    cell: str
    pin: str
    index: int
    farads: float


@dataclass
class _Net:
    """What drives a bit (None: a port, or a cell of which no delay is known), and what it drives."""

    driver: tuple[Cell, str] | None = None
    constant: bool = False
    clock: bool = False
    loads: list[_Load] = field(default_factory=list)


def buffer_nets(modules: Mapping[str, dict], top: str, pdk: Pdk, limit: int = FANOUT) -> int:
    """Insert buffers until no gate drives more than ``limit`` inputs; return how many there are now.

    The driver keeps its net and the net its name. Loads are shared out evenly, in the order of the netlist. A
    level of the tree takes the smallest of the kit's buffers with which it is fastest, by Liberty's tables.
    A port is one load outside its module, and a driver inside.

    Parameters
    ----------
    modules
        Those of a JSON netlist of Yosys, of the kit's cells and macros; changed in place.
    top
        The module to begin with.
    limit
        At least 2.

    Raises
    ------
    ValueError
        If the limit is less than 2.
    UserError
        If a net needs a buffer, and the kit has none.
    """
    if limit < 2:
        raise ValueError(f"Fan-out must be at least 2, not {limit}")
    kit = _Kit(pdk)
    ports: dict[str, dict[tuple[str, int], _Net]] = {}  # of modules that are done
    count = 0

    def walk(name: str) -> None:
        nonlocal count
        for cell in modules[name]["cells"].values():
            if cell["type"] in modules and cell["type"] not in ports:
                walk(cell["type"])
        module = _Module(modules[name], modules, kit, ports)
        count += module.buffered(limit)
        ports[name] = module.inputs()

    walk(top)
    return count


class _Kit:
    """Cells, macros and buffers of a kit."""

    def __init__(self, pdk: Pdk):
        self.pdk, self.library = pdk, pdk.library
        self._macros: dict[str, Library] = {}
        self.buffers = sorted((cell for name, cell in pdk.library.items()
                               if not pdk.avoided(name) and _is_buffer(cell)), key=lambda cell: cell.area)
        cell, pin = pdk.data["cells"]["driver"]
        self.port = pdk.library[cell], pin  # stands for what drives a port

    def cell(self, kind: str) -> Cell:
        """Return a cell, or a macro."""
        if kind in self.library:
            return self.library[kind]
        if kind not in self._macros:
            self._macros[kind] = read_liberty(self.pdk.sram_liberty(kind))
        return self._macros[kind][kind]

    def choose(self, driver: tuple[Cell, str] | None, number: int, load: float) -> Cell:
        """Return the buffer for each of ``number`` equal loads (F); driver None: another such buffer."""
        if not self.buffers:
            raise UserError(f"{self.pdk.title} has no buffer, and a net needs one")
        delays = []
        for cell in self.buffers:
            (pin,), (out,) = cell.inputs, cell.outputs
            before, slew = _edge(*(driver or (cell, out)), 0.0, number * cell.pins[pin].capacitance)
            delays.append(before + _edge(cell, out, slew, load)[0])
        return next(cell for cell, delay in zip(self.buffers, delays, strict=True)
                    if delay <= _NEAR * min(delays))


def _is_buffer(cell: Cell) -> bool:
    if cell.storage or cell.clock_gate or len(cell.inputs) != 1 or len(cell.outputs) != 1 or cell.area <= 0:
        return False
    function = cell.pins[cell.outputs[0]].function
    if function is None or tuple(function.pins) != cell.inputs:
        return False
    return bool(function({cell.inputs[0]: 1}, 0, 1) & 1)


def _edge(cell: Cell, pin: str, slew: float, load: float) -> tuple[float, float]:
    """Return the longest delay to an output, and its longest slew, in s."""
    arcs = [arc for arc in cell.pins[pin].arcs if arc.kind not in ("clear", "preset")]
    return tuple(max((table(slew, load) for arc in arcs for table in getattr(arc, what) if table is not None),
                     default=0.0) for what in ("delay", "slew"))


def _clocks(cell: Cell) -> frozenset[str]:
    """Return the pins of a cell that clocks go to."""
    named = {pin for pin in cell.inputs if cell.pins[pin].clock}
    return frozenset(named | set(parse_expression(cell.storage["clocked_on"]).pins
                                 if cell.storage.get("kind") == "ff" else named))


class _Module:
    """A module's nets by bit, and the buffers that they get."""

    def __init__(self, module: dict, modules: Mapping[str, dict], kit: _Kit,
                 done: Mapping[str, Mapping[tuple[str, int], _Net]]):
        self.module, self.kit = module, kit
        self.nets: dict[int, _Net] = {}
        for name, cell in module["cells"].items():
            kind = cell["type"]
            if kind in done:
                self._add_module(name, cell["connections"], modules[kind]["ports"], done[kind])
            else:
                self._add_cell(name, cell["connections"], kit.cell(kind))
        self.free = 1 + max((bit for bit in self._bits() if isinstance(bit, int)), default=1)

    def _bits(self) -> Iterator[object]:
        for info in (*self.module["ports"].values(), *self.module["netnames"].values()):
            yield from info["bits"]
        for cell in self.module["cells"].values():
            for bits in cell["connections"].values():
                yield from bits

    def _net(self, bit: int) -> _Net:
        return self.nets.setdefault(bit, _Net())

    def _add_cell(self, name, connections, cell):
        clocks = _clocks(cell)
        for pin, bits in connections.items():
            # Liberty files of memories may leave out pins for tests, which are inputs.
            info = cell.pins.get(pin, _UNKNOWN)
            for index, bit in enumerate(bits):
                if not isinstance(bit, int):
                    continue
                net = self._net(bit)
                if info.direction == "output":
                    net.driver = (cell, pin) if info.arcs else None
                    net.constant |= info.function is not None and not info.function.pins
                else:
                    net.clock |= pin in clocks
                    net.loads.append(_Load(name, pin, index, info.capacitance))

    def _add_module(self, name, connections, ports, inside):
        for port, bits in connections.items():
            for index, bit in enumerate(bits):
                if not isinstance(bit, int):
                    continue
                net = self._net(bit)
                if ports[port]["direction"] == "input":
                    inner = inside[port, index]
                    net.clock |= inner.clock
                    net.loads.append(_Load(name, port, index, sum(load.farads for load in inner.loads)))

    def inputs(self) -> dict[tuple[str, int], _Net]:
        """Return the nets of the module's input ports, by port and index."""
        return {(name, index): self.nets.get(bit, _Net()) for name, port in self.module["ports"].items()
                if port["direction"] == "input" for index, bit in enumerate(port["bits"])}

    def buffered(self, limit: int) -> int:
        """Insert buffers; return how many."""
        before = len(self.module["cells"])
        for bit, net in list(self.nets.items()):
            if not (net.clock or net.constant):
                while len(net.loads) > limit:
                    net.loads = self._level(bit, net, limit)
        return len(self.module["cells"]) - before

    def _level(self, bit: int, net: _Net, limit: int) -> list[_Load]:
        """Put a buffer before every ``limit`` loads or fewer, and return the buffers as loads."""
        number = -(-len(net.loads) // limit)
        mean = sum(load.farads for load in net.loads) / number
        cell = self.kit.choose((net.driver or self.kit.port) if number <= limit else None,
                               min(number, limit), mean)
        (pin,), (out,) = cell.inputs, cell.outputs
        buffers = []
        for part in range(number):
            name, new = f"_buffer_{self.free}_", self.free
            self.free += 1
            loads = net.loads[part * len(net.loads) // number:(part + 1) * len(net.loads) // number]
            for load in loads:
                self.module["cells"][load.cell]["connections"][load.pin][load.index] = new
            self.module["cells"][name] = {"hide_name": 0, "type": cell.name, "parameters": {},
                                          "attributes": {}, "connections": {pin: [bit], out: [new]}}
            self.module["netnames"][f"{name}net"] = {"hide_name": 0, "bits": [new], "attributes": {}}
            buffers.append(_Load(name, pin, 0, cell.pins[pin].capacitance))
        return buffers

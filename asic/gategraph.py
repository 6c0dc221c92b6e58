"""A netlist as gates of one output, registers, gating cells and memories: what the simulator runs."""

from itertools import product

from asic.expressions import parse_expression
from asic.netlist import Instance, Netlist, NetlistError


__all__ = ["GateGraph"]


class GateGraph:
    """The netlist's functions, from Liberty.

    A gate is (output net, input nets, offset of its table in ``tables``, number of the cell or -1, pin),
    in topological order. A register is (net of its data, net of its state, gating cell or -1), both nets its
    own. A gating cell is (output net, net of the enable, parent or -1). A memory is (words, bits, ports), a
    port seven offsets into ``memory_pins``: enable, write, read, address, data in, mask (-1: none), data out.

    Parameters
    ----------
    netlist
        Flat netlist.
    clock
        Name of the clock's port.

    Raises
    ------
    NetlistError
        If the netlist has latches, more clocks, or a combinational loop.
    """

    def __init__(self, netlist: Netlist, clock: str = "clk"):
        self.netlist = netlist
        self.root = netlist.ports[clock][1][0] if clock in netlist.ports else -1
        self.nets = len(netlist.names)
        self.tables = bytearray()
        self._known: dict[tuple, int] = {}
        self.gates = self._ordered(self._collect())

    def _collect(self):
        gates, self.flops, self.clocks = [], [], []
        pending, gating, self._clock_of = [], [], {}
        for number, instance in enumerate(self.netlist.cells):
            cell = self.netlist.library[instance.kind]
            if cell.clock_gate:
                gating.append((instance, cell))
            elif cell.storage.get("kind") == "ff":
                pending.append((number, instance, cell))
            elif cell.storage:
                raise NetlistError(
                    f"Cell {instance.name} of type {instance.kind} is a latch, which is not simulated"
                )
            else:
                for pin in cell.outputs:
                    if pin in instance.pins and cell.pins[pin].function is not None:
                        gates.append(
                            self._gate(
                                cell.pins[pin].function,
                                instance.pins[pin][0],
                                {name: bits[0] for name, bits in instance.pins.items()},
                                number,
                                pin,
                            )
                        )
        constants = {gate[0]: self.tables[gate[2]] for gate in gates if not gate[1]} | {0: 0, 1: 1}
        for instance, cell in gating:
            self._gating(instance, cell, constants)
        self._sort_clocks()
        for number, instance, cell in pending:
            gates += self._flop(number, instance, cell, constants)
        return gates + self._find_memories()

    def _gate(self, function, out, nets, number, pin):
        return out, [nets[name] for name in function.pins], self._table(function), number, pin

    def _table(self, function):
        key = (function.text, function.pins)
        if key not in self._known:
            self._known[key] = len(self.tables)
            for bits in product(
                (0, 1), repeat=len(function.pins)
            ):  # first pin is the lowest bit of the index
                self.tables.append(function(dict(zip(reversed(function.pins), bits, strict=True)), 0, 1) & 1)
        return self._known[key]

    def _new_net(self):
        self.nets += 1
        return self.nets - 1

    def _gating(self, instance: Instance, cell, constants):
        pins = {name: bits[0] for name, bits in instance.pins.items()}
        clock = next(name for name in cell.inputs if cell.pins[name].clock)
        (out,) = (pins[name] for name in cell.outputs if name in pins)
        enable = [pins[name] for name in cell.inputs if name != clock and constants.get(pins[name]) != 0]
        if len(enable) != 1:
            raise NetlistError(f"Gating cell {instance.name} must have one enable, not {len(enable)}")
        self.clocks.append((out, enable[0], pins[clock]))

    def _sort_clocks(self):
        """Put gating cells behind the one that feeds their clock."""
        left, done = self.clocks, []
        known = {self.root: -1}
        while left:
            ready = [clock for clock in left if clock[2] in known]
            if not ready:
                raise NetlistError(
                    f"Clock {self.netlist.names[left[0][2]]} of a gating cell must come from the port "
                    "or from a gating cell"
                )
            for out, _, _ in ready:
                known[out] = -2
            for clock in ready:
                known[clock[0]] = len(done)
                done.append((clock[0], clock[1], known[clock[2]]))
            left = [clock for clock in left if clock not in ready]
        self.clocks, self._clock_of = done, known

    def _flop(self, number, instance, cell, constants):
        storage = cell.storage
        pins = {name: bits[0] for name, bits in instance.pins.items()}
        parse = parse_expression
        for name in ("clear", "preset"):
            if name in storage:
                function = parse(storage[name])
                if (
                    any(pins[pin] not in constants for pin in function.pins)
                    or function({pin: constants[pins[pin]] for pin in function.pins}, 0, 1) & 1
                ):
                    raise NetlistError(
                        f"Register {instance.name} of type {instance.kind} has a {name} that is not "
                        "tied off, which is not simulated"
                    )
        clock = parse(storage["clocked_on"])
        if clock.text != f"v[{clock.pins[0]!r}]" or pins[clock.pins[0]] not in self._clock_of:
            raise NetlistError(
                f"Register {instance.name} of type {instance.kind} must have a rising clock that comes "
                "from the port or from a gating cell"
            )
        state, data = self._new_net(), self._new_net()
        inverse = parse(f"!{storage['state']}")
        self.flops.append((data, state, self._clock_of[pins[clock.pins[0]]]))
        nets = pins | {storage["state"]: state}
        gates = [self._gate(parse(storage["next_state"]), data, nets, -1, "")]
        for pin in cell.outputs:
            if pin in pins:
                function = cell.pins[pin].function
                if function.pins == (storage["inverse"],):
                    function = inverse if function.text.startswith("v[") else parse(storage["state"])
                gates.append(self._gate(function, pins[pin], nets, number, pin))
        return gates

    def _find_memories(self):
        """Describe memories; return inverters for controls that are active when low."""
        self.memories, self.memory_pins, gates = [], [], []

        def put(nets):
            self.memory_pins.extend(nets)
            return len(self.memory_pins) - len(nets)

        def inverted(net):
            out = self._new_net()
            gates.append((out, [net], self._table(parse_expression("!A")), -1, ""))
            return out

        for macro in self.netlist.macros:
            pins = macro.pins
            if "A_MEN" in pins:
                ports = [
                    [
                        put(pins[f"{p}_{name}"]) if f"{p}_{name}" in pins else -1
                        for name in ("MEN", "WEN", "REN", "ADDR", "DIN", "BM", "DOUT")
                    ]
                    for p in "AB"
                    if f"{p}_MEN" in pins
                ]
                words, bits = 1 << len(pins["A_ADDR"]), len(pins["A_DIN"])
            elif "csb0" in pins:
                group = len(pins["din0"]) // len(pins["wmask0"])
                mask = [net for net in pins["wmask0"] for _ in range(group)]
                men = inverted(pins["csb0"][0])
                ports = [
                    [
                        put([men]),
                        put([inverted(pins["web0"][0])]),
                        put(pins["web0"]),
                        put(pins["addr0"]),
                        put(pins["din0"]),
                        put(mask),
                        put(pins["dout0"]),
                    ]
                ]
                if "csb1" in pins:
                    ports.append(
                        [
                            put([inverted(pins["csb1"][0])]),
                            put([0]),
                            put([1]),
                            put(pins["addr1"]),
                            put(pins["din0"]),
                            -1,
                            put(pins["dout1"]),
                        ]
                    )
                words, bits = 1 << len(pins["addr0"]), len(pins["din0"])
            else:
                raise NetlistError(f"Macro {macro.name} of type {macro.kind} is no memory that is known here")
            self.memories.append((words, bits, ports))
        return gates

    def _ordered(self, gates):
        """Return gates so that each comes after those that feed it."""
        users: dict[int, list[int]] = {}
        driven = {gate[0] for gate in gates}
        missing = []
        for number, gate in enumerate(gates):
            inside = {net for net in gate[1] if net in driven}
            missing.append(len(inside))
            for net in inside:
                users.setdefault(net, []).append(number)
        order = [number for number, count in enumerate(missing) if not count]
        for number in order:
            for user in users.get(gates[number][0], ()):
                missing[user] -= 1
                if not missing[user]:
                    order.append(user)
        if len(order) != len(gates):
            loop = next(gates[number] for number, count in enumerate(missing) if count)
            raise NetlistError(
                f"Netlist must not have combinational loops, and one goes through "
                f"{self.netlist.names[loop[0]]}"
            )
        return [gates[number] for number in order]

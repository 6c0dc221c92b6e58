"""The environment of a simulated netlist: sources, sinks, and clocked or bundled worlds at its border."""

from collections.abc import Mapping, Sequence
from typing import Any

from neurogen.qdi.gates.netlist import Channel, Netlist


__all__ = ["Sink", "Source", "ends_of"]


class Source:
    """Sends the tokens of one input."""

    clocked = False

    def __init__(self, run: Any, name: str, channel: Channel, tokens: Sequence[int]):
        self.run, self.name, self.c = run, name, channel
        self.codes = [sorted(set(channel.rails_of(token))) for token in tokens]
        self.at = 0
        self.up: list[int] = []
        run.watch.setdefault(channel.a, []).append(self.acknowledged)

    def start(self) -> None:
        """Send the first token."""
        self._send()

    def _send(self) -> None:
        if self.at < len(self.codes):
            self.up = self.codes[self.at]
            self.at += 1
            for rail in self.up:
                self.run.toggle(rail)

    def acknowledged(self, net: int, high: int) -> None:
        """Return to zero, or send the next."""
        raised = sum(self.run.value[rail] for rail in self.up)
        if high:
            if raised < len(self.up) or not self.up:
                self.run.illegal(f"{self.name} is acknowledged before it is valid")
            for rail in self.up:
                self.run.toggle(rail)
        else:
            if raised:
                self.run.illegal(f"{self.name} is released before it is neutral")
            self.up = []
            self._send()


class Sink:
    """Takes the tokens of one output."""

    clocked = False

    def __init__(self, run: Any, name: str, channel: Channel, expected: int):
        self.run, self.name, self.c, self.expected = run, name, channel, expected
        self.tokens: list[int] = []
        self.times: list[float] = []
        self.up: set[int] = set()
        self.asked = False
        for rail in {*channel.rails}:
            run.watch.setdefault(rail, []).append(self.changed)
        run.watch.setdefault(channel.a, []).append(self.settled)

    def settled(self, net: int, high: int) -> None:
        """Note that the acknowledge has arrived."""
        self.asked = False

    def changed(self, net: int, high: int) -> None:
        """Acknowledge what is complete."""
        value, digits = self.run.value, self.c.digits
        if bool(high) == bool(value[self.c.a]):
            self.run.illegal(f"{self.name} {'rises' if high else 'falls'} when it must not")
        valid = sum(any(value[rail] for rail in digit) for digit in digits)
        if high and valid == len(digits) and not self.asked:
            self.tokens.append(self.c.token([next(k for k, rail in enumerate(digit) if value[rail])
                                             for digit in digits]))
            self.times.append(self.run.now)
            self.asked = True
            self.run.toggle(self.c.a)
        elif not high and not valid and not self.asked:
            self.asked = True
            self.run.toggle(self.c.a)


class _Clock:
    """Drives the clock and samples the flip-flops; the ends of streams act at its edges."""

    clocked = True

    def __init__(self, run: Any, netlist: Netlist):
        self.run, self.n, self.streams = run, netlist, []
        run.watch.setdefault(netlist.clk, []).append(self.edge)
        run.toggle(netlist.clk, after=run.period)

    def edge(self, net: int, high: int) -> None:
        run = self.run
        run.toggle(self.n.clk, after=run.period)
        if not high or (self.n.rst and run.value[self.n.rst]):
            return
        for flop in run.s.flops:
            if run.value[flop.inputs[0]] != run.value[flop.output]:
                run.toggle(flop.output)
        for stream in self.streams:
            stream.tick()


class _StreamSource(Source):
    """Sends words of a clocked stream."""

    clocked = True

    def __init__(self, run: Any, name: str, wires: Mapping[str, int], words: Sequence[int]):
        self.run, self.name, self.words, self.wires = run, name, list(words), wires
        self.at, self.started = -1, False

    def start(self) -> None:
        self.started = True

    def tick(self) -> None:
        value, wires = self.run.value, self.wires
        if not self.started or (value[wires["valid"]] and not value[wires["ready"]]):
            return
        self.at += 1
        valid = self.at < len(self.words)
        if value[wires["valid"]] != valid:
            self.run.toggle(wires["valid"])
        word = self.words[self.at] if valid else 0
        for k in range(len(wires) - 2):
            if value[wires[f"data{k}"]] != word >> k & 1:
                self.run.toggle(wires[f"data{k}"])


class _StreamSink(Sink):
    """Takes words of a clocked stream; not ready in one cycle of three."""

    clocked = True

    def __init__(self, run: Any, name: str, wires: Mapping[str, int], expected: int):
        self.run, self.name, self.wires, self.expected = run, name, wires, expected
        self.tokens, self.times, self.cycle = [], [], 0

    def tick(self) -> None:
        value, wires = self.run.value, self.wires
        if value[wires["valid"]] and value[wires["ready"]]:
            self.tokens.append(sum(value[wires[f"data{k}"]] << k for k in range(len(wires) - 2)))
            self.times.append(self.run.now)
        self.cycle += 1
        if value[wires["ready"]] != (self.cycle % 3 > 0):
            self.run.toggle(wires["ready"])


class _Bundled(Source):
    """Sends words as bundled data: the data first, then a change of the request."""

    request, answer = "", ""  # names of the wires

    def __init__(self, run: Any, name: str, wires: Mapping[str, int], words: Sequence[int]):
        self.run, self.name, self.words, self.wires = run, name, list(words), wires
        self.at = 0
        run.watch.setdefault(wires[self.answer], []).append(self.acknowledged)

    def _bundling(self) -> float:
        """Return how long the request waits for the data: the bundling constraint."""
        raise NotImplementedError

    def _send(self) -> None:
        if self.at < len(self.words):
            word, value = self.words[self.at], self.run.value
            self.at += 1
            for k in range(len(self.wires) - 2):
                if value[self.wires[f"data{k}"]] != word >> k & 1:
                    self.run.toggle(self.wires[f"data{k}"], after=self._holding())
            self.run.toggle(self.wires[self.request], after=self._bundling())

    def _holding(self) -> float | None:
        """Return how long data stays after its acknowledge; None for as long as the environment likes."""
        return None


class _Aer(_Bundled):
    """Four-phase: data, request+, acknowledge+, request-, acknowledge-."""

    request, answer = "req", "ack"

    def _bundling(self) -> float:
        return 3 * self.run.spread

    def acknowledged(self, net: int, high: int) -> None:
        if high:
            self.run.toggle(self.wires["req"])
        else:
            self._send()


class _ToggleSource(_Bundled):
    """Two-phase: data, then a change of the request, a change of the answer."""

    request, answer = "treq", "tack"

    def _holding(self) -> float:
        return 50 * max(self.run.outside)  # the latch that takes the data has closed

    def _bundling(self) -> float:
        return 52 * max(self.run.outside)

    def acknowledged(self, net: int, high: int) -> None:
        self._send()


class _ToggleSink(Sink):
    """Takes words of two-phase bundled data."""

    def __init__(self, run: Any, name: str, wires: Mapping[str, int], expected: int):
        self.run, self.name, self.wires, self.expected = run, name, wires, expected
        self.tokens, self.times = [], []
        run.watch.setdefault(wires["xreq"], []).append(self.changed)

    def changed(self, net: int, high: int) -> None:
        value, wires = self.run.value, self.wires
        self.tokens.append(sum(value[wires[f"data{k}"]] << k for k in range(len(wires) - 2)))
        self.times.append(self.run.now)
        # a join must have seen that its requests are used before they are new again
        self.run.toggle(wires["xack"], after=50 * max(self.run.outside))


def ends_of(run: Any, netlist: Netlist, tokens: Mapping[str, Sequence[int]],
            expected: Mapping[str, int]) -> list[Any]:
    """Return the ends of all border channels.

    Raises
    ------
    ValueError
        If a name is unknown or a token does not fit.
    """
    groups: dict[str, dict[str, int]] = {}
    for name, net in netlist.wires.items():
        port, _, wire = name.rpartition(".")
        groups.setdefault(port, {})[wire] = net
    driven = {gate.output for gate in netlist.gates}
    incoming = {name for name, wires in groups.items()
                if "xreq" not in wires and wires.get("valid", 0) not in driven}
    sources, sinks = {*netlist.inputs, *incoming}, {*netlist.outputs, *(set(groups) - incoming)}
    for kind, names, known in (("inputs", tokens, sources), ("outputs", expected, sinks)):
        if set(names) - known:
            raise ValueError(f"Names of {kind} must be of {', '.join(sorted(known)) or 'none'}, "
                             f"not {', '.join(sorted(set(names) - known))}")
    ends: list[Any] = [Source(run, name, c, tokens.get(name, ())) for name, c in netlist.inputs.items()]
    ends += [Sink(run, name, c, expected.get(name, 0)) for name, c in netlist.outputs.items()]
    streams: list[Any] = []
    for name, wires in groups.items():
        if "req" in wires:
            ends.append(_Aer(run, name, wires, tokens.get(name, ())))
        elif "treq" in wires:
            ends.append(_ToggleSource(run, name, wires, tokens.get(name, ())))
        elif "xreq" in wires:
            ends.append(_ToggleSink(run, name, wires, expected.get(name, 0)))
        elif name in incoming:
            streams.append(_StreamSource(run, name, wires, tokens.get(name, ())))
        else:
            streams.append(_StreamSink(run, name, wires, expected.get(name, 0)))
    if netlist.clk:
        clock = _Clock(run, netlist)
        clock.streams = streams
        ends.append(clock)
    return [*ends, *streams]

"""Energy per synaptic operation of a netlist that runs real work: logic, clock, SRAM, glitches, leakage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from asic.build import meanings
from asic.energy_passages import cell_energies, passage_power
from asic.gatesim import GateModel, Passages
from asic.memories import MacroData, macro_data
from asic.netlist import read_netlist
from asic.pdk import Pdk
from asic.slews import Timing
from neurogen.flow.tools import SimulationError


__all__ = ["PARTS", "Engine", "Work", "memory_energy"]


PARTS = ("logic", "registers", "clock", "glitches", "sram", "leakage")
_SLOWER = 4  # times the period is doubled for a netlist that needs longer


@dataclass(frozen=True)
class Work:
    """What a netlist does while its energy is measured.

    Parameters
    ----------
    inputs, outputs
        As `asic.build.record` returns them: of the RTL, whose results have been compared with the golden
        model.
    window
        First cycle that counts, and the one after the last.
    operations
        Synaptic operations in the window, by the counters of the RTL or the golden model.
    skip
        Cycles at the beginning whose outputs mean nothing yet.
    """

    inputs: Mapping[str, tuple[int, Sequence[int]]]
    outputs: Mapping[str, tuple[int, Sequence[int]]]
    window: tuple[int, int]
    operations: int
    skip: int = 4


class Engine:
    """A netlist of `asic.synth.synthesise`, ready for measurements.

    Parameters
    ----------
    netlist
        Its ``netlist.json``.
    top
        Name of the top module.
    pdk
        The kit; one of `asic.energy_memories.without_memories` leaves out the energy of memories.
    """

    def __init__(self, netlist: Path, top: str, pdk: Pdk):
        self.pdk = pdk
        self.netlist = read_netlist(netlist, top, pdk.library, tuple(macro.name for macro in pdk.macros))
        kinds = {macro.kind for macro in self.netlist.macros}
        self.macros = {macro.name: macro_data(pdk, macro) for macro in pdk.macros if macro.name in kinds}
        self.model = GateModel(self.netlist)

    @cached_property
    def timing(self) -> Timing:
        """Loads, slews and delays."""
        return Timing(self.netlist)

    def measure(self, work: Work, *, period: float = 20e-9) -> dict:
        """Run the work without and with delays, and return energies in pJ per synaptic operation.

        Parameters
        ----------
        period
            Clock period in s, for leakage; the run with delays takes a longer one where it must.

        Returns
        -------
        `PARTS` and their sum ``total``; ``operations``, ``cycles`` of the window, ``values`` of outputs that
        were compared (not those that show what nobody has written), ``reads`` and ``writes`` of macros by
        their path, ``period`` of the run with delays.

        Raises
        ------
        SimulationError
            If an output of the netlist differs from the RTL's, or it is slower than 8 periods.
        """
        inputs = {name: values for name, (_, values) in work.inputs.items()}
        run = self.model.run(inputs, period=period, window=work.window)
        # What nobody has written differs with the contents that memories begin with.
        other = self.model.run(inputs, period=period, record=False, seed=1).outputs
        values = self._check(run.outputs, work, other)
        still, moving, slow = run.passages, None, period
        for doublings in range(_SLOWER):
            slow = period * 2**doublings
            try:
                moving = self.model.run(inputs, period=slow, timing=self.timing, window=work.window)
                break
            except SimulationError:
                if doublings + 1 == _SLOWER:
                    raise
        self._check(moving.outputs, work, other)
        memories = [(macro.read, macro.write, macro.leakage) for macro in self._memories()]
        quiet = passage_power(self.netlist, still, timing=self.timing, memories=memories)
        timed = passage_power(self.netlist, moving.passages, timing=self.timing, memories=memories)
        found = {name: float(value) * 1e12 for name, value in quiet.energy(work.operations).items()}
        extra = (timed.total - timed.leakage) * timed.seconds - (quiet.total - quiet.leakage) * quiet.seconds
        found["glitches"] = extra / work.operations * 1e12
        result = {name: found[name] for name in PARTS}
        return result | {"total": sum(result.values()), "operations": work.operations,
                         "cycles": work.window[1] - work.window[0], "values": values, "period": slow,
                         **self.accesses(still)}

    def parts(self, work: Work, labels: Mapping[str, str], *, period: float = 20e-9) -> dict[str, float]:
        """Return pJ per operation, without delays and leakage, of groups of cells, to see where it goes.

        Parameters
        ----------
        labels
            Group by what the name of a cell's output net contains; the first that fits. Others are
            ``"others"``; ``" clock"`` is added to the name for clock pins.
        """
        inputs = {name: values for name, (_, values) in work.inputs.items()}
        passages = self.model.run(inputs, period=period, window=work.window).passages
        energies = cell_energies(self.netlist, passages, self.timing)
        groups = [self._label(number, labels) for number in range(len(self.netlist.cells))]
        result: dict[str, float] = {}
        for group, clock, moving in zip(groups, energies.clock, energies.moving, strict=True):
            for name, value in ((group, moving), (f"{group} clock", clock)):
                result[name] = result.get(name, 0.0) + float(value) / work.operations * 1e12
        return dict(sorted(result.items(), key=lambda item: -item[1]))

    def _label(self, number: int, labels: Mapping[str, str]) -> str:
        instance = self.netlist.cells[number]
        outputs = self.netlist.library[instance.kind].outputs
        names = [self.netlist.names[net] for pin in outputs for net in instance.pins.get(pin, ())]
        return next((group for text, group in labels.items() if any(text in name for name in names)),
                    "others")

    def accesses(self, passages: Passages) -> dict[str, dict[str, int]]:
        """Return ``reads`` and ``writes`` of macros by their path."""
        names = [f"{macro.name} {macro.kind}" for macro in self.netlist.macros]
        sums = passages.accesses.sum(1)
        return {"reads": dict(zip(names, map(int, sums[:, 0]), strict=True)),
                "writes": dict(zip(names, map(int, sums[:, 1] + sums[:, 2]), strict=True))}

    def _memories(self) -> list[MacroData]:
        return [self.macros[macro.kind] for macro in self.netlist.macros]

    def _check(self, outputs: Mapping[str, Sequence[int]], work: Work,
               other: Mapping[str, Sequence[int]]) -> int:
        """Compare outputs with the RTL's, where they mean something; return how many values there were.

        ``other`` has the outputs with other random contents at the beginning.
        """
        means = meanings(work.outputs)
        values = 0
        for name, (_, wanted) in work.outputs.items():
            when = np.array(work.outputs[means[name]][1] if name in means else [1] * len(wanted), bool)
            when[:work.skip] = False
            same = np.array([a == b for a, b in zip(outputs[name], wanted, strict=True)])
            known = np.array([a == b for a, b in zip(outputs[name], other[name], strict=True)])
            wrong = np.flatnonzero(when & known & ~same)
            if len(wrong):
                raise SimulationError(f"Netlist of {self.netlist.top} must do what the RTL does, and output "
                                      f"{name} differs in {len(wrong)} cycles, first in {wrong[0]}")
            values += int((when & known).sum())
        return values


def memory_energy(reads: Mapping[str, int], writes: Mapping[str, int], macros: Mapping[str, MacroData],
                  operations: int) -> dict[str, float]:
    """Return pJ per operation of memories by their path without the macro's type: counts times Liberty's."""
    result: dict[str, float] = {}
    for name in reads:
        path, _, kind = name.rpartition(" ")
        macro = macros[kind]
        place = path.rsplit(".", 1)[0]
        spent = (reads[name] * macro.read + writes[name] * macro.write) / operations * 1e12
        result[place] = result.get(place, 0.0) + spent
    return result

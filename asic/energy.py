"""Energy per synaptic operation of an array of neurons, on real cells, at several densities of events."""

import json
from pathlib import Path

import numpy as np

from asic.build import compare, record
from asic.gatesim import GateModel
from asic.memories import macro_data
from asic.netlist import read_netlist
from asic.pdk import Pdk
from asic.power import estimate
from asic.slews import Timing
from asic.synth import synthesise
from neurogen.flow.tools import SimulationError
from neurogen.flow.verilator import to_verilog
from neurogen.rtl.lif import LifArray
from neurogen.spec.lif import Lif


__all__ = ["DENSITIES", "lif_events", "measure_lif"]


DENSITIES = (0.005, 0.01, 0.05, 0.2)
NEURONS = 64
_START = 4 + NEURONS + 8  # reset, and the cycles in which the array writes its initial potentials


def lif_events(density: float, steps: int, seed: int = 1) -> tuple[list[int], int]:
    """Return words of input for a `LifArray` of 64 neurons, and how many are synaptic operations.

    Each neuron gets an event in a step with the probability ``density``; a tick ends every step.
    """
    draw = np.random.default_rng(seed)
    words, operations = [], 0
    for _ in range(steps):
        for neuron in np.flatnonzero(draw.random(NEURONS) < density):
            words.append(int(neuron) << 1 | int(draw.integers(-32, 96) & 255) << 7)
            operations += 1
        words.append(1)
    return words, operations


def measure_lif(pdk: Pdk, folder: Path, *, steps: int = 60, period: float = 20e-9, gate_clocks: bool = True,
                densities: tuple[float, ...] = DENSITIES) -> dict:
    """Synthesise an array of 64 neurons, run events through its netlist, and return where the energy goes.

    Counted: cells, registers and their clock pins, gating cells, leakage at this clock, memories by access,
    and glitches (the same run with delays of Liberty's tables). Not counted: wires, clock tree, pads.

    Parameters
    ----------
    folder
        For the netlist.
    steps
        Time steps of each run; fewer events need more, so that low densities run longer.
    period
        Clock period in s; doubled where the netlist is slower.
    gate_clocks
        As in `asic.synth.synthesise`.

    Returns
    -------
    ``area`` (the report of the synthesis) and ``rows``: by density, pJ per synaptic operation of each part.

    Raises
    ------
    SimulationError
        If the netlist differs from the RTL.
    """
    neurons = Lif(shape=(NEURONS,), threshold=512, decay=3840, state_bits=12, v_lo=-2048, v_hi=2047)
    verilog = to_verilog(LifArray(neurons, weight_bits=8), "lif")
    area = synthesise(verilog, "lif", pdk, folder, gate_clocks=gate_clocks)
    macros = {macro.name: macro_data(pdk, macro) for macro in pdk.macros if macro.name in area["macros"]}
    netlist = read_netlist(folder / "netlist.json", "lif", pdk.library, tuple(macros))
    memories = [(found.read, found.write, found.leakage) for found in
                (macros[instance.kind] for instance in netlist.macros)]
    model, timing = GateModel(netlist), Timing(netlist)
    rows = []
    for density in densities:
        words, operations = lif_events(density, max(steps, round(2 / density)))

        def drive(design, words=words):
            design.run(10_000_000, inputs={"i_events": words}, outputs={"o_spikes": None})

        recording = record(verilog, "lif", drive, folder)
        found = compare(folder / "netlist.json", "lif", pdk, recording, _START)
        if found["mismatches"]:
            raise SimulationError(f"Netlist differs from the RTL in {found['mismatches']} values")
        inputs = {name: values for name, (_, values) in recording[0].items()}
        still = model.run(inputs, period=period).activity.after(round(_START * period / 1e-12))
        moving, slow = _timed(model, inputs, timing, period)
        moving = moving.after(round(_START * slow / 1e-12))
        power = estimate(netlist, still, memories=memories)
        timed = estimate(netlist, moving, memories=memories)
        parts = {name: value * 1e12 for name, value in power.energy(operations).items()}
        glitches = ((timed.total - timed.leakage) * timed.seconds
                    - (power.total - power.leakage) * power.seconds)
        rows.append({"density": density, "operations": operations, "cycles": len(inputs["rst"]),
                     **{name: parts[name] for name in ("logic", "registers", "clock", "sram", "leakage")},
                     "glitches": glitches / operations * 1e12,
                     "total": parts["total"] + glitches / operations * 1e12})
    result = {"pdk": pdk.name, "voltage": pdk.library.voltage, "period": period, "area": area, "rows": rows}
    (folder / "energy.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    return result


def _timed(model, inputs, timing, period):
    """Return the activity with delays, and the period that was long enough."""
    for slower in range(4):
        try:
            return model.run(inputs, period=period * 2**slower, timing=timing).activity, period * 2**slower
        except SimulationError:
            continue
    raise SimulationError(f"Netlist is slower than {period * 8 * 1e9:g} ns")

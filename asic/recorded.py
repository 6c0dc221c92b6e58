"""Where the energy of a recording goes, before layout: what the build's page shows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from asic.gatesim import GateModel
from asic.memories import macro_data
from asic.netlist import read_netlist
from asic.pdk import Pdk
from asic.power import estimate


__all__ = ["recorded_energy"]


_WORK = 500_000_000  # gates times cycles whose changes are kept, at most


def recorded_energy(
    netlist: Path,
    top: str,
    pdk: Pdk,
    inputs: dict[str, tuple[int, list[int]]],
    *,
    period: float,
    operations: int | None = None,
) -> dict[str, Any]:
    """Return the mean energy of a cycle, or of a synaptic operation, from the first word of input on.

    Counted: cells, registers, clock pins and gating cells, leakage at this period, accesses of memories where
    the kit's files have their energy. Not counted: glitches (nothing has a delay), wires, the clock's tree.

    Parameters
    ----------
    netlist
        JSON netlist of `asic.synth.synthesise`.
    inputs
        Those of a recording (see `asic.build.record`).
    period
        Clock period, in s.
    operations
        Synaptic operations of the whole recording; None if they are not known.

    Returns
    -------
    ``status`` "run", ``unit``, ``rows`` (``name``, ``parts`` in that unit), ``note``, ``cycles``; or
    "not run" with a ``reason``.
    """
    mapped = read_netlist(netlist, top, pdk.library, tuple(macro.name for macro in pdk.macros))
    length = len(next(iter(inputs.values()))[1])
    streams = [values for name, (_, values) in inputs.items() if name.endswith("__valid")]
    start = min((values.index(1) for values in streams if 1 in values), default=0)
    model = GateModel(mapped)
    cycles = min(length, _WORK // max(1, len(model.graph.gates)))
    if cycles < min(length, start + 1000):
        return {
            "status": "not run",
            "reason": f"{len(model.graph.gates):,} gates are too many for the "
            f"{length:,} cycles of the recording",
        }
    usable = pdk.data.get("sram", {}).get("energy") == "characterised"
    data = {
        macro.name: macro_data(pdk, macro)
        for macro in pdk.macros
        if macro.name in {instance.kind for instance in mapped.macros}
    }
    memories = [
        (found.read, found.write, found.leakage) if usable else (0.0, 0.0, 0.0)
        for found in (data[instance.kind] for instance in mapped.macros)
    ]
    run, before = (
        model.run(
            {name: values[:until] for name, (_, values) in inputs.items()},
            period=period,
            record=until == cycles,
        )
        for until in (cycles, max(1, start))
    )
    activity = run.activity.after(round(start * period / 1e-12))
    # What memories did before (weights and programs are loaded) does not count either.
    accesses = run.activity.accesses - (before.activity.accesses if start else 0)
    power = estimate(mapped, replace(activity, accesses=accesses), memories=memories)
    whole = operations is not None and operations > 0 and cycles == length
    unit, number = ("pJ/SOP", operations) if whole else ("pJ/cycle", cycles - start)
    parts = {name: float(value) * 1e12 for name, value in power.energy(number).items() if name != "total"}
    missing = ["glitches", "wires", "the tree of the clock"]
    if not usable:
        del parts["sram"]
        missing += ["memories"] if mapped.macros else []
    per = f"{operations:,} synaptic operations" if whole else "cycles"
    return {
        "status": "run",
        "unit": unit,
        "cycles": cycles - start,
        "rows": [{"name": "first recording", "parts": parts}],
        "note": f"Mean over {cycles - start:,} cycles of {period * 1e9:g} ns and {per}, from the activity "
        f"of a simulation of the netlist. Not counted: {', '.join(missing)}.",
    }

"""Simulation of Click circuits with the delays of their cells."""

from collections.abc import Mapping, Sequence
from random import Random

from neurogen.qdi.click.build import ClickDesign
from neurogen.qdi.gates.simulate import Delays, Result, Simulator
from neurogen.qdi.gates.timing import CycleTime, delays_of


__all__ = ["cycle_time", "simulate", "varied_delays"]


def simulate(design: ClickDesign, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
             variation: float = 0.0, seed: int = 0, budget: int = 2_000_000, trace: bool = False) -> Result:
    """Run a circuit; times are in ns. A result is acknowledged 0.5 ns after its request.

    Data that changes when it is stored is reported in ``illegal``: a chain was too short.

    Parameters
    ----------
    tokens, expected
        Tokens of each input, number of tokens of each output, by name.
    variation
        Each gate is slower or faster by up to this part, at random.
    seed
        Of the variation.
    budget
        Transitions after which the run is given up.
    trace
        Record every transition.

    Raises
    ------
    ValueError
        If the variation is not between 0 and 0.5, or a name is unknown.
    """
    delays = varied_delays(design, variation, seed)
    return Simulator(design.mapped.netlist).run(tokens, expected, delays=delays, budget=budget, trace=trace)


def varied_delays(design: ClickDesign, variation: float = 0.0, seed: int = 0) -> Delays:
    """Return the delay of each gate in ns, slower or faster by up to ``variation``, at random.

    Raises
    ------
    ValueError
        If the variation is not between 0 and 0.5.
    """
    if not 0 <= variation <= 0.5:
        raise ValueError(f"Variation must be between 0 and 0.5, not {variation!r}")
    rng, delays = Random(seed), delays_of(design.mapped)
    factors = [1 + variation * (2 * rng.random() - 1) for _ in delays.rise]
    return Delays(tuple(d * f for d, f in zip(delays.rise, factors, strict=True)),
                  tuple(d * f for d, f in zip(delays.fall, factors, strict=True)))


def cycle_time(design: ClickDesign, tokens: Mapping[str, Sequence[int]],
               expected: Mapping[str, int]) -> CycleTime:
    """Return the mean time between tokens of the busiest loop: of an iteration; without loops, of a result.

    Raises
    ------
    ValueError
        If the circuit does not give the expected tokens.
    """
    n = design.mapped.netlist
    result = simulate(design, tokens, expected, trace=True)
    if not result.finished:
        raise ValueError(f"{n.name} must give all tokens before its time is taken")
    loops = {f"{id}.select.req": f"{id}.select" for id, (kind, _) in n.blocks.items() if kind == "loop"}
    controls = {net: loops[name] for net, name in enumerate(n.nets) if name in loops}
    times: dict[str, list[float]] = {name: [] for name in controls.values()}
    for now, net, _ in result.trace:
        if net in controls:
            times[controls[net]].append(now)
    name, seen = max(times.items(), key=lambda item: len(item[1]),
                     default=next(iter(result.times.items())))
    span = seen[-1] - seen[0] if len(seen) > 1 else result.time
    return CycleTime(name, len(seen), span / max(1, len(seen) - 1), result.events / max(1, len(seen)))

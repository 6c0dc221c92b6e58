"""Simulation of Click circuits with the delays of their cells."""

from collections.abc import Mapping, Sequence
from random import Random

from neurogen.qdi.click.build import ClickDesign
from neurogen.qdi.gates.simulate import Delays, Result, Simulator
from neurogen.qdi.gates.timing import delays_of


__all__ = ["simulate"]


def simulate(design: ClickDesign, tokens: Mapping[str, Sequence[int]], expected: Mapping[str, int], *,
             variation: float = 0.0, seed: int = 0, budget: int = 2_000_000) -> Result:
    """Run a circuit; times are in ns.

    Data that changes when it is stored is reported in ``illegal``: a chain was too short.

    Parameters
    ----------
    tokens, expected
        Tokens of each input, number of tokens of each output, by name.
    variation
        Each gate is slower or faster by up to this part, at random.
    seed
        Of the variation.

    Raises
    ------
    ValueError
        If the variation is not between 0 and 0.5, or a name is unknown.
    """
    if not 0 <= variation <= 0.5:
        raise ValueError(f"Variation must be between 0 and 0.5, not {variation!r}")
    rng, delays = Random(seed), delays_of(design.mapped)
    factors = [1 + variation * (2 * rng.random() - 1) for _ in delays.rise]
    varied = Delays(tuple(d * f for d, f in zip(delays.rise, factors, strict=True)),
                    tuple(d * f for d, f in zip(delays.fall, factors, strict=True)))
    return Simulator(design.mapped.netlist).run(tokens, expected, delays=varied, budget=budget)

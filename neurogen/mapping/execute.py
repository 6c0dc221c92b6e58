"""Runs the passes of a plan on anything that executes programs, and puts the results together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neurogen.mapping.plan import Pass, Plan, gather_potentials, merge_events, read_stream, stream_for
from neurogen.spec.events import Events


__all__ = ["Result", "Runner", "execute"]


class Runner(Protocol):
    """Executes one pass: on the interpreter, in simulation, on a board."""

    def __call__(self, part: Pass, words: np.ndarray,
                 steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the output words, the state memory and the counters.

        They are ``uint32[n]``, ``int[rows, 9, total_lanes]`` and ``int[instructions, len(COUNTERS)]``.
        """


@dataclass(frozen=True, eq=False)
class Result:
    """What a network did.

    Parameters
    ----------
    events
        Events of the inputs and of every population that left, by name.
    potentials, currents
        Final ``V`` of every population, and ``I`` of the CuBa-LIF; ``int64`` of its shape.
    counters
        `Plan.totals`.
    passes
        For each pass its counters, ``int[instructions, len(COUNTERS)]``.
    """

    events: dict[str, Events]
    potentials: dict[str, np.ndarray]
    currents: dict[str, np.ndarray]
    counters: dict[str, dict[str, int]]
    passes: list[np.ndarray]


def execute(plan: Plan, inputs: Mapping[str, Events], run: Runner) -> Result:
    """Run all passes one after the other; spikes of one become streams of the next.

    Parameters
    ----------
    inputs
        Events of the network's inputs, by name, over the same number of steps.
    run
        Executes one pass.
    """
    if not inputs:
        raise ValueError("Events must hold those of at least one input")
    steps = next(iter(inputs.values())).steps
    events = dict(inputs)
    states: dict[str, dict[str, np.ndarray]] = {"V": {}, "I": {}}
    counters = []
    for part in plan.passes:
        words, rows, counts = run(part, stream_for(part, events), steps)
        for name, found in read_stream(part, words, steps).items():
            events[name] = merge_events([events[name], found]) if name in events else found
        for kind, whole in states.items():
            for name, values in gather_potentials(part, rows, currents=kind == "I").items():
                whole[name] = whole[name] + values if name in whole else values
        counters.append(counts)
    return Result(events, states["V"], states["I"], plan.totals(counters), counters)

"""Random programs at all levels: Python, tokens, the clocked circuit with stalls, gates with delays."""

import warnings
from collections.abc import Callable, Mapping

from neurogen.flow.synth.levels import Stimulus, agree, prepare
from neurogen.qdi.fuzz import Failure, FuzzProgram, campaign, random_program
from neurogen.qdi.python.errors import QdiWarning


__all__ = ["DEFAULT_LEVELS", "compare_program", "run_campaign"]

DEFAULT_LEVELS = {"tokens": 1, "clocked": 1, "gates": 1}


def compare_program(program: FuzzProgram, levels: Mapping[str, int], seed: int = 0,
                    buffers: str = "rules") -> Stimulus:
    """Compare a program with CPython at each level; return its graph with tokens.

    Raises
    ------
    Exception
        Whatever a level raises; see `neurogen.flow.synth.levels.agree`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QdiWarning)
        stimulus = prepare(program.process(), program.stimuli, buffers=buffers)
    agree(stimulus, levels, seed=seed)
    return stimulus


def run_campaign(seeds: range, levels: Mapping[str, int] = DEFAULT_LEVELS, *, buffers: str = "rules",
                 progress: Callable[[int], None] | None = None, most: int = 5,
                 make: Callable[[int], FuzzProgram] = random_program) -> list[Failure]:
    """Return the programs of ``seeds`` that fail, shrunk, at most ``most``.

    The orders, stalls and delays of a program are those of its own text.

    Parameters
    ----------
    levels
        Runs by level.
    buffers
        Placement of half buffers: ``rules`` or ``safe``.
    progress
        Called with each seed that is done.
    make
        Returns the program of a seed.
    """
    def test(program: FuzzProgram) -> None:
        compare_program(program, levels, seed=sum(map(ord, program.text)), buffers=buffers)

    return campaign(seeds, test, progress=progress, most=most, make=make)

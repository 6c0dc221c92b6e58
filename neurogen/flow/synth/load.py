"""A process from a file, and stimuli for it."""

import importlib.util
import random
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from neurogen.flow.errors import UserError
from neurogen.qdi import Process, QdiError, RangeError, process
from neurogen.qdi.python.errors import OverrunError
from neurogen.qdi.python.types import Num, StreamType


__all__ = ["load_process", "random_stimuli", "source_lines"]

_REMEDY = "wider types or mode='wrap' help, and loops that end sooner"
_OPERATIONS = 20_000  # of a call: simulations of every level must come to an end


def load_process(target: str, *, width: int | None = None, mode: str | None = None) -> Process:
    """Return the function of ``FILE.py:FUNCTION`` as a process.

    Parameters
    ----------
    width, mode
        Those of `neurogen.qdi.process`, for a function that is not decorated yet.

    Raises
    ------
    UserError
        If there is no such file or function, or the file fails.
    QdiError
        If the function is not in the subset.
    """
    file, _, name = target.rpartition(":")
    if not file or not name.isidentifier():
        raise UserError(f"Function must be FILE.py:FUNCTION, not {target}")
    path = Path(file)
    if not path.is_file():
        raise UserError(f"File {file} {'is a folder' if path.is_dir() else 'does not exist'}")
    if path.suffix != ".py":
        raise UserError(f"File must be a Python file, not {file}")
    module = _run(path)
    found = getattr(module, name, None)
    if found is None:
        known = [key for key, value in vars(module).items()
                 if isinstance(value, Process) or (isinstance(value, FunctionType)
                                                   and value.__module__ == module.__name__)]
        raise UserError(f"{file} must have a function {name}; it has {', '.join(known) or 'none'}")
    if isinstance(found, Process):
        if width is not None or mode is not None:
            raise UserError(f"--width and --mode are for plain functions; {name} is decorated with its own")
        return found
    if not isinstance(found, FunctionType):
        raise UserError(f"{name} of {file} must be a function, not {type(found).__name__}")
    return process(found, width=width, mode=mode or "checked")


def _run(path: Path) -> Any:
    name = f"neurogen_synth_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"File must be a Python file, not {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except QdiError:
        raise
    except Exception as error:  # the user's own code: whatever it raises is told
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__)
                 if frame.filename == str(path)]
        where = f"line {lines[-1]}: " if lines else ""
        raise UserError(f"{path} does not run: {where}{type(error).__name__}: {error}") from None
    finally:
        sys.path.pop(0)
    return module


def source_lines(function: Process) -> list[tuple[int, str]]:
    """Return number and text of each line of the function's source, without its indentation."""
    source = function.source
    return [(source.first + k, line[source.indent:].rstrip() or "") for k, line in enumerate(source.lines)]


def random_stimuli(function: Process, calls: int, seed: int = 0) -> Any:
    """Return random arguments for ``calls`` calls, or so many tokens of each stream.

    Calls that take more than 20,000 operations are drawn anew, and in mode ``checked`` those in which a value
    would not fit its type, with smaller and smaller numbers.

    Raises
    ------
    UserError
        If no call fits.
    """
    rng = random.Random(seed)
    kinds = [function.kinds[name] for name in function.inputs]
    types = [kind.type if isinstance(kind, StreamType) else kind if isinstance(kind, Num)
             else Num(1) if kind is bool else function.default for kind in kinds]
    if function.persistent or any(isinstance(kind, StreamType) for kind in kinds):
        for narrower in range(64):
            stimuli = {name: [_draw(rng, type, narrower // 4) for _ in range(calls)]
                       for name, type in zip(function.inputs, types, strict=True)}
            if _fits(function, stimuli):
                return stimuli
        raise UserError(f"No random tokens fit the types of {function.__name__}; {_REMEDY}")
    rows: list[tuple[int, ...]] = []
    misses = long = 0
    while len(rows) < calls:
        row = tuple(_draw(rng, type, misses // 4 + long) for type in types)
        fits = _fits(function, [*rows, row] if function._states else [row])
        if fits:
            rows.append(row)
            misses = 0
            continue
        long += 2 * (fits is None)  # smaller numbers from now on
        misses += 1
        if misses > 256 or long > 128:  # by then all are 0 or as good
            raise UserError(f"No random arguments fit the types of {function.__name__}; {_REMEDY}")
    return rows


def _draw(rng: random.Random, type: Num, narrower: int) -> int:
    low, high = type.low >> narrower, type.high >> narrower
    return rng.choice((low, high)) if rng.random() < 0.1 else rng.randint(low, high)


def _fits(function: Process, stimuli: Sequence[Any] | dict[str, list[int]]) -> bool | None:
    """Return whether a run stays within its types; None if it takes too many operations."""
    calls = max(map(len, stimuli.values()), default=1) if isinstance(stimuli, dict) else len(stimuli)
    try:
        function.expected(stimuli, budget=_OPERATIONS * calls)
    except (RangeError, IndexError):
        return False
    except OverrunError:
        return None
    return True

"""The decorator: a Python function that stays callable and can be compiled."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from typing import Any, get_args

from neurogen.qdi.ir import Program
from neurogen.qdi.python.build import Builder
from neurogen.qdi.python.golden import Bits, Budget, golden
from neurogen.qdi.python.source import Source
from neurogen.qdi.python.types import MemType, Num, StateType, StreamType


__all__ = ["Process", "process"]


class Process:
    """A function of the subset.

    Calling it runs the Python function; states keep their values from call to call until `reset`.

    Parameters
    ----------
    function
        The Python function.
    width
        Bits of numbers without a type; by default those of the widest annotated type, or 8.
    signed
        Whether they are signed.
    mode
        ``checked``: a value outside its type is an error of the run; ``wrap``: arithmetic is modulo 2**width.

    Raises
    ------
    ValueError
        If a parameter is none of these, or the source of the function is not to be had.
    QdiError
        If it is no function with a name, or an annotation does not evaluate.
    """

    def __init__(self, function: Callable, *, width: int | None = None, signed: bool = False,
                 mode: str = "checked"):
        if mode not in ("checked", "wrap"):
            raise ValueError(f"Mode must be 'checked' or 'wrap', not {mode!r}")
        functools.update_wrapper(self, function)
        self.function, self.mode = function, mode
        self.source = Source(function)
        if width is None:
            width = max(_widths(self.source.annotations()), default=8)
        self.default = Num(width, signed)
        self._golden: dict[str, Callable] = {}
        self._budget = Budget()
        self._built: tuple[Builder, Program] | None = None
        self.reset()

    def reset(self) -> None:
        """Give states and memories their first values."""
        self._states: dict[str, int] = {}
        self._memories: dict[str, list[int]] = {}
        for name, kind in self.kinds.items():
            default = inspect.signature(self.function).parameters[name].default
            if isinstance(kind, StateType):
                self._states[name] = default
            elif isinstance(kind, MemType):
                self._memories[name] = list((0,) * kind.depth if default is inspect.Parameter.empty
                                            else default)

    @functools.cached_property
    def kinds(self) -> dict[str, Any]:
        """Types of the parameters, as annotated or by default."""
        hints = self.source.annotations()
        return {name: hints.get(name, self.default) for name in inspect.signature(self.function).parameters}

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the parameters that take tokens, streams too."""
        return tuple(n for n, kind in self.kinds.items() if isinstance(kind, Num | StreamType)
                     or kind in (int, bool))

    def type_of(self, name: str) -> Num:
        """Return the type of the tokens of an input."""
        kind = self.kinds[name]
        return kind.type if isinstance(kind, StreamType) else Num(1) if kind is bool else \
            self.default if kind is int else kind

    @property
    def persistent(self) -> bool:
        """Whether the function yields its results."""
        return inspect.isgeneratorfunction(self.function)

    def program(self, options: dict[str, Any] | None = None) -> tuple[Builder, Program]:
        """Read the function anew; return the builder (which knows all types) and the program."""
        builder = Builder(self.source, self.default, self.mode, options or {})
        return builder, builder.program()

    def __call__(self, *args: Any) -> Any:
        """Run the Python function."""
        return self._run("plain", args)

    def _run(self, mode, args):
        names = [n for n, kind in self.kinds.items() if not isinstance(kind, StateType | MemType)]
        missing = [n for n in names[len(args):]
                   if inspect.signature(self.function).parameters[n].default is inspect.Parameter.empty]
        if len(args) > len(names) or missing:
            raise TypeError(f"Arguments of {self.__name__} must be {', '.join(names)}, "
                            f"not {len(args)} values")
        values = dict(zip(names, args, strict=False))
        for name in names[len(args):]:
            values[name] = inspect.signature(self.function).parameters[name].default
        if mode == "plain" and not self._states:
            values = {n: Bits(v) if isinstance(v, int) and not isinstance(v, bool) else v
                      for n, v in values.items()}
            return self.function(**values, **self._memories)
        result = self._model(mode)(**values, **self._memories, **self._states)
        if not self._states or self.persistent:
            return result
        result, ends = result
        self._states.update(zip(self._states, ends, strict=True))
        return result

    def model(self, mode: str | None = None) -> Callable:
        """Return the function with the arithmetic of a mode, by default its own, to be called with keywords.

        It takes all parameters: streams as iterators, memories as lists (in which it writes), first values of
        states. With states and no ``yield`` it returns its results and the states' ends.

        Raises
        ------
        RangeError
            When it is called, in mode ``checked``: at a value that does not fit its type.
        """
        return self._model(mode or self.mode)

    def _model(self, mode):
        if mode not in self._golden:
            builder = self.program()[0]
            states = {} if self.persistent else {n: self.kinds[n].type for n in self._states}
            params = {n: Num(1) if kind is bool else self.default if kind is int else kind
                      for n, kind in self.kinds.items() if isinstance(kind, Num) or kind in (int, bool)}
            self._golden[mode] = golden(builder.ctx, mode, states, params, builder.result,
                                        self._budget)
        return self._golden[mode]

    def expected(self, stimuli: Sequence[Any], *, mode: str | None = None,
                 budget: float = inf) -> dict[str, list[int]]:
        """Return the streams of results for stimuli, from the first values of states and memories on.

        Parameters
        ----------
        stimuli
            For each call its arguments, a tuple (or one number). For a process that yields, a dictionary of
            the tokens of each stream.
        mode
            ``checked``, ``wrap`` or ``plain``; by default that of the process.
        budget
            Operations that the whole run may take, in the first two modes.

        Raises
        ------
        OverrunError
            If it takes more.
        RangeError
            In mode ``checked``, if a value does not fit its type.
        TypeError
            If the stimuli are of the other kind.
        """
        if isinstance(stimuli, Mapping) != self.persistent:
            wanted = "a dictionary of tokens by stream" if self.persistent else "the arguments of each call"
            raise TypeError(f"Stimuli of {self.__name__} must be {wanted}, not {type(stimuli).__name__}")
        self.reset()
        self._budget.left = budget
        mode = mode or self.mode
        rows: Iterable[Any]
        try:
            if self.persistent:
                rows = list(_tokens(self._model(mode)(**{n: iter(v) for n, v in stimuli.items()},
                                                      **self._memories, **self._states)))
            else:
                rows = [self._run(mode, s if isinstance(s, tuple) else (s,)) for s in stimuli]
        finally:
            self._budget.left = inf
            self.reset()
        rows = [row if isinstance(row, tuple) else (row,) for row in rows]
        count = len(rows[0]) if rows else 1
        names = ["o"] if count == 1 else [f"o{k}" for k in range(count)]
        return {name: [int(row[k]) for row in rows] for k, name in enumerate(names)}


def _tokens(generator):
    """Yield until an input ends; `next` on an empty stream ends a generator with a RuntimeError."""
    try:
        yield from generator
    except RuntimeError as error:
        if not isinstance(error.__cause__, StopIteration):
            raise


def _widths(hints):
    for kind in hints.values():
        for part in (kind, getattr(kind, "type", None), *get_args(kind)):
            if isinstance(part, Num):
                yield part.width


def process(function: Callable | None = None, *, width: int | None = None, signed: bool = False,
            mode: str = "checked") -> Any:
    """Decorate a function of the subset: ``@process`` or ``@process(width=8, signed=False, mode="checked")``.

    Returns
    -------
    Process
        Callable like the function.
    """
    if function is None:
        return lambda f: Process(f, width=width, signed=signed, mode=mode)
    return Process(function, width=width, signed=signed, mode=mode)

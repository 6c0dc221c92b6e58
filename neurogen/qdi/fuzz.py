"""Random programs of the subset, for tests of every level, and a shrinker for those that fail.

The same seed gives the same program. Programs come to an end: loops run over small ranges or count a variable
down that nothing else assigns. They are in mode ``wrap``, where every run is within the rules.
"""

import linecache
import random
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from neurogen.qdi.compile import PASSES, check
from neurogen.qdi.compile import compile as compile_graph
from neurogen.qdi.passes.buffers import BUFFERINGS
from neurogen.qdi.python.errors import QdiError, QdiWarning
from neurogen.qdi.python.process import Process


__all__ = ["Failure", "FuzzProgram", "campaign", "make_process", "random_options", "random_program", "run",
           "shrink"]


@dataclass
class FuzzProgram:
    """A program as a tree: a statement is a line, or a list of (header, body) for if and loops.

    Parameters
    ----------
    width
        Bits of the process.
    signed
        Whether numbers without a type are signed.
    parameters
        Text of each parameter.
    body
        Statements.
    results
        Expressions that are returned.
    stimuli
        Arguments of each call.
    """

    width: int
    signed: bool
    parameters: list[str]
    body: list[Any]
    results: list[str]
    stimuli: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The function's source."""
        lines = [f"def fuzz({', '.join(self.parameters)}):", *_lines(self.body, 1),
                 f"    return {', '.join(self.results)}"]
        return "\n".join(lines) + "\n"

    def process(self) -> Process:
        """Return the program as a process."""
        return make_process(self.text, width=self.width, signed=self.signed)


@dataclass
class Failure:
    """A program that failed, and how; ``program`` is shrunk."""

    seed: int
    program: FuzzProgram
    error: Exception


def _lines(body, depth):
    pad = "    " * depth
    for statement in body or ["pass"]:
        if isinstance(statement, str):
            yield pad + statement
        else:
            for header, inner in statement:
                yield pad + header
                yield from _lines(inner, depth + 1)


_count = 0


def make_process(text: str, *, width: int = 8, signed: bool = False, mode: str = "wrap",
                 names: dict[str, Any] | None = None) -> Process:
    """Return the process of a function given as text (its first definition), with names of the types at
    hand.
    """
    global _count
    from neurogen.qdi.python import types

    _count += 1
    file = f"<program {_count}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space: dict[str, Any] = {name: getattr(types, name) for name in ("U", "S", "Bit", "State", "Rom", "Mem",
                                                                     "Stream")} | dict(names or {})
    exec(compile(text, file, "exec"), space)
    function = next(space[line.split("(")[0][4:]] for line in text.splitlines() if line.startswith("def "))
    return Process(function, width=width, signed=signed, mode=mode)


class _Generator:
    def __init__(self, seed, width):
        self.r = random.Random(seed)
        r = self.r
        self.width = width
        self.signed = r.random() < 0.2
        self.names = list("abc"[:r.randint(1, 3)])
        kind = "S" if self.signed else "U"
        types = [f"{kind}[{width}]"] * 2 + [f"U[{max(2, width - 2)}]"]
        self.parameters = [f"{n}: {r.choice(types)}" for n in self.names]
        self.inputs = len(self.names)
        if r.random() < 0.2:
            self.parameters.append(f"s: State[{kind}[{width}]] = {r.randint(0, 3)}")
            self.names.append("s")
        self.fresh = 0
        self.locked: set[str] = set()

    def number(self):
        return str(self.r.randint(0, min(15, (1 << self.width - 1) - 1)))

    def expr(self, depth=2):
        r = self.r
        kind = r.random()
        if depth == 0 or kind < 0.3:
            return r.choice(self.names) if r.random() < 0.75 else self.number()
        if kind < 0.72:
            op = r.choice("+ + - - & | ^ *".split() if self.width <= 6 else "+ - & | ^".split())
            left, right = self.expr(depth - 1), self.expr(depth - 1)
            if not any(c.isalpha() for c in left + right):
                left = r.choice(self.names)  # numbers among themselves are exact and need not fit
            return f"({left} {op} {right})"
        if kind < 0.8:
            return f"({r.choice(self.names)} {r.choice(['<<', '>>'])} {r.randint(0, 3)})"
        if kind < 0.86:
            return f"({self.expr(depth - 1)} if {self.cond(depth - 1)} else {self.expr(depth - 1)})"
        if kind < 0.9:
            return f"{r.choice(['min', 'max'])}({self.expr(depth - 1)}, {self.expr(depth - 1)})"
        if kind < 0.94:
            words = tuple(r.randint(0, 15) for _ in range(r.choice([2, 4])))
            return f"{words}[{r.choice(self.names)} & {len(words) - 1}]"
        return f"({self.cond(depth - 1)})"

    def cond(self, depth=1):
        r = self.r
        kind = r.random()
        if depth > 0 and kind < 0.2:
            return f"({self.cond(depth - 1)} {r.choice(['and', 'or'])} {self.cond(depth - 1)})"
        if depth > 0 and kind < 0.3:
            return f"(not {self.cond(depth - 1)})"
        if kind < 0.4:
            return f"({r.choice(self.names)} & 1)"
        op = r.choice("< <= > >= == !=".split())
        name = r.choice(self.names)
        return f"({name} {op} {r.choice(self.names) if r.random() < 0.5 else r.randint(0, 3)})"

    def target(self):
        free = [n for n in self.names if n not in self.locked]
        if not free or self.r.random() < 0.2:
            self.fresh += 1
            return f"v{self.fresh}"
        return self.r.choice(free)

    def block(self, depth, loop, size):
        body = []
        known = list(self.names)
        for _ in range(size):
            body += self.statement(depth, loop)
        self.names = known
        return body

    def statement(self, depth, loop):
        r = self.r
        kind = r.random()
        if depth == 0 or kind < 0.5:
            value, name = self.expr(), self.target()
            if name in self.names and r.random() < 0.3:
                return [f"{name} {r.choice(['+', '-', '^'])}= {value}"]
            if name not in self.names:
                self.names.append(name)
            return [f"{name} = {value}"]
        if kind < 0.72:
            parts = [(f"if {self.cond()}:", self.block(depth - 1, loop, r.randint(1, 2)))]
            while r.random() < 0.3 and len(parts) < 4:
                parts.append((f"elif {self.cond()}:", self.block(depth - 1, loop, r.randint(1, 2))))
            if r.random() < 0.5:
                parts.append(("else:", self.block(depth - 1, loop, r.randint(1, 2))))
            return [parts]
        if kind < 0.84:
            self.fresh += 1
            index = f"i{self.fresh}"
            bounds = r.choice([str(r.randint(0, 4)), f"{r.choice(self.names)} & 3",
                               f"{r.randint(0, 2)}, {r.randint(1, 6)}, {r.randint(1, 2)}",
                               f"{r.randint(2, 5)}, {r.randint(0, 2)}, -1"])
            saved = list(self.names)
            self.names.append(index)
            if r.random() < 0.8:
                self.locked.add(index)
            body = self.block(depth - 1, True, r.randint(1, 3))
            self.names = saved
            return [[(f"for {index} in range({bounds}):", body)]]
        if kind < 0.92:
            self.fresh += 1
            index = f"k{self.fresh}"
            saved = list(self.names)
            start = f"{index} = {r.choice(self.names)} & 3"
            self.names.append(index)
            self.locked.add(index)
            body = [f"{index} = {index} - 1", *self.block(depth - 1, True, r.randint(1, 3))]
            self.names = saved
            return [start, [(f"while {index} > 0:", body)]]
        if loop and kind < 0.98:
            return [[(f"if {self.cond()}:", [r.choice(["break", "continue"])])]]
        if kind >= 0.98:
            self.early = True
            return [[(f"if {self.cond()}:", [_RETURN])]]
        return ["pass"]


_RETURN = "return 0"


def random_program(seed: int, *, width: int | None = None, calls: int = 4, most: int = 5) -> FuzzProgram:
    """Return the program of a seed, with arguments for some calls; it has ``most`` statements at its top, at
    most.
    """
    chance = random.Random(~seed)
    width = width or chance.choice([4, 5, 5, 8])
    g = _Generator(seed, width)
    top = min(g.r.randint(2, 5), most)
    body = []
    for _ in range(top):
        body += g.statement(3, False)
    results = [g.expr(1) for _ in range(g.r.choice([1, 1, 2]))]
    body = _early(body, f"return {', '.join(g.r.choice(g.names[:g.inputs]) for _ in results)}")
    stimuli = []
    for _ in range(calls):
        row = []
        for text in g.parameters[:g.inputs]:
            bits = int(text.split("[")[1][:-1])
            number = chance.getrandbits(bits)
            row.append(number - (1 << bits) if "S[" in text and number >> bits - 1 else number)
        stimuli.append(tuple(row))
    return FuzzProgram(width, g.signed, g.parameters, body, results, stimuli)


def _early(body, line):
    return [(line if s == _RETURN else s) if isinstance(s, str) else [(h, _early(b, line)) for h, b in s]
            for s in body]


def random_options(text: str) -> dict[str, Any]:
    """Return options of `neurogen.qdi.compile` that the text of a program decides: passes at random,
    buffers.
    """
    chance = random.Random(text)
    passes = {name: chance.random() < 0.6 for name in PASSES}
    return {"passes": passes, "buffers": chance.choice(BUFFERINGS)}


def run(program: FuzzProgram) -> None:
    """Compare a program with Python at the level of tokens, as it is by default and with passes off at
    random.

    Raises
    ------
    Exception
        What `neurogen.qdi.check` raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", QdiWarning)
        process = program.process()
        check(process, program.stimuli, seeds=range(1), graph=compile_graph(process))
        check(process, program.stimuli, seeds=range(1), capacities=(1,), **random_options(program.text))


def campaign(seeds: range, test: Callable[[FuzzProgram], None] = run, *,
             progress: Callable[[int], None] | None = None, most: int = 5,
             make: Callable[[int], FuzzProgram] = random_program) -> list[Failure]:
    """Run a test on the programs of seeds.

    Parameters
    ----------
    test
        Raises if the program fails. By default the comparison of tokens with Python.
    progress
        Called with each seed that is done.
    most
        Failures after which to stop.
    make
        Returns the program of a seed.

    Returns
    -------
    list of Failure
        With shrunk programs.
    """
    failures = []
    for seed in seeds:
        program = make(seed)
        error = _fails(program, test)
        if error is not None:
            failures.append(Failure(seed, shrink(program, test, error), error))
            if len(failures) >= most:
                break
        if progress is not None:
            progress(seed)
    return failures


def _fails(program, test):
    try:
        test(program)
    except QdiError as error:
        # numbers that are known are exact, and a random one may not fit: rightly rejected
        return None if error.code == "QDI004" else error
    except Exception as error:  # whatever goes wrong is what the campaign looks for
        return error
    return None


def shrink(program: FuzzProgram, test: Callable[[FuzzProgram], None], error: Exception, *,
           tries: int = 300) -> FuzzProgram:
    """Return the smallest program found within ``tries`` that fails with the same kind of error."""
    progress = True
    while progress:
        progress = False
        for smaller in _smaller(program):
            tries -= 1
            if tries < 0:
                return program
            other = _fails(smaller, test)
            if other is not None and type(other) is type(error) and (
                    not isinstance(other, SyntaxError) or getattr(other, "code", 0) == getattr(error, "code",
                                                                                               1)):
                program, progress = smaller, True
                break
    return program


def _smaller(program) -> Iterator[FuzzProgram]:
    for k in range(len(program.stimuli)):
        if len(program.stimuli) > 1:
            yield _with(program, stimuli=program.stimuli[:k] + program.stimuli[k + 1:])
    for k in range(len(program.results)):
        if len(program.results) > 1 and "return" not in "".join(_lines(program.body, 0)):
            yield _with(program, results=program.results[:k] + program.results[k + 1:])
    for body in _reduced(program.body):
        yield _with(program, body=body)
    for k, result in enumerate(program.results):
        if result != "a":
            yield _with(program, results=[*program.results[:k], "a", *program.results[k + 1:]])


def _with(program, **changes):
    new = deepcopy(program)
    for name, value in changes.items():
        setattr(new, name, deepcopy(value))
    return new


def _reduced(body):
    for k, statement in enumerate(body):
        rest = body[:k], body[k + 1:]
        yield rest[0] + rest[1]
        if isinstance(statement, str):
            continue
        for _, inner in statement:
            yield rest[0] + inner + rest[1]
        for j in range(1, len(statement)):
            yield [*rest[0], statement[:j] + statement[j + 1:], *rest[1]]
        for j, (header, inner) in enumerate(statement):
            for smaller in _reduced(inner):
                yield [*rest[0], [*statement[:j], (header, smaller), *statement[j + 1:]], *rest[1]]

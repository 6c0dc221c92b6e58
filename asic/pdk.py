"""Process design kits as data: where their files are, and which of their cells a flow needs by name.

The files themselves never come with neurogen. They are looked for below one root, in a plain layout (a folder
per kit) and in that of open_pdks and of IHP's repository; compressed (``.gz``) or not.
"""

import fnmatch
import gzip
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib import resources
from pathlib import Path

import yaml

from asic.liberty import Library, read_liberty
from neurogen.flow.errors import UserError
from neurogen.flow.files import staged
from neurogen.flow.tools import cache_folder


__all__ = ["ClockGate", "Pdk", "PdkError", "SramMacro", "describe_pdks", "find_root", "load_pdk", "pdk_names"]


class PdkError(UserError):
    """A kit is unknown, or files of it are missing."""


@dataclass(frozen=True)
class ClockGate:
    """An integrated clock-gating cell: its name and pins; ``low`` are inputs that must be 0."""

    cell: str
    enable: str
    clock: str
    gated: str
    low: tuple[str, ...] = ()


@dataclass(frozen=True)
class SramMacro:
    """A memory macro: its name, words, bits per word, ports (1: read or write; 2: both at once)."""

    name: str
    words: int
    bits: int
    ports: int


@dataclass(frozen=True)
class Pdk:
    """One kit, as its description and its root say.

    Parameters
    ----------
    name
        Name of the description, such as ``sg13g2``.
    root
        Folder that holds the files.
    data
        The description; see the files in ``asic/pdks``.
    """

    name: str
    root: Path
    data: Mapping

    @property
    def title(self) -> str:
        """What people call it."""
        return self.data["title"]

    @property
    def corners(self) -> tuple[str, ...]:
        """Names of the described corners; area and energy are of the first."""
        return tuple(self.data["corners"])

    @property
    def clock_gate(self) -> ClockGate:
        """The cell that gates a clock."""
        return ClockGate(
            **{
                key: tuple(value) if isinstance(value, list) else value
                for key, value in self.data["cells"]["clock_gate"].items()
            }
        )

    @property
    def macros(self) -> tuple[SramMacro, ...]:
        """Memory macros, if there are any."""
        return tuple(
            SramMacro(name, *sizes) for name, sizes in self.data.get("sram", {}).get("macros", {}).items()
        )

    def avoided(self, cell: str) -> bool:
        """Return whether synthesis must not choose a cell."""
        return any(fnmatch.fnmatch(cell, pattern) for pattern in self.data["cells"]["avoid"])

    def find(self, name: str) -> Path | None:
        """Return the path of a file of the kit (it may end in ``.gz``), or None."""
        for folder in self.data["folders"]:
            for candidate in (self.root / folder / name, self.root / folder / f"{name}.gz"):
                if candidate.is_file():
                    return candidate
        return None

    def file(self, name: str) -> Path:
        """Return the path of a file of the kit for other programs, decompressed if need be.

        Raises
        ------
        PdkError
            If it is not there.
        """
        found = self.find(name)
        if found is None:
            raise PdkError(_missing(self.title, self.root, self.data["folders"], [name]))
        return found if found.suffix != ".gz" else _decompressed(found, name)

    def liberty_files(self, corner: str = "") -> tuple[Path, ...]:
        """Return the Liberty files of the standard cells at a corner (default: the first).

        Raises
        ------
        PdkError
            If the corner is unknown (lists them), or files are missing.
        """
        corner = corner or self.corners[0]
        if corner not in self.corners:
            raise PdkError(f"Corner of {self.name} must be one of {', '.join(self.corners)}, not {corner!r}")
        return tuple(self.file(name) for name in self.data["corners"][corner])

    def available_corners(self) -> tuple[str, ...]:
        """Return the corners whose files are all there."""
        return tuple(corner for corner, names in self.data["corners"].items() if all(map(self.find, names)))

    @cached_property
    def library(self) -> Library:
        """The standard cells at the first corner."""
        return read_liberty(*self.liberty_files())

    def sram_liberty(self, macro: str) -> Path:
        """Return the Liberty file of a memory macro."""
        return self.file(self.data["sram"]["liberty"].format(macro=macro))


def pdk_names() -> tuple[str, ...]:
    """Return the names of the kits that are described."""
    folder = resources.files("asic") / "pdks"
    return tuple(
        sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    )


def describe_pdks() -> dict[str, dict]:
    """Return the description of every kit by its name."""
    folder = resources.files("asic") / "pdks"
    return {
        name: yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8")) for name in pdk_names()
    }


def find_root(root: Path | str | None = None) -> Path:
    """Return the folder of the kits: ``root``, or ``$PDK_ROOT``, or ``pdk`` in ``$NEUROGEN_DATA``.

    Raises
    ------
    PdkError
        If none is named, or it is no folder.
    """
    named = root or os.environ.get("PDK_ROOT")
    if not named and os.environ.get("NEUROGEN_DATA"):
        named = Path(os.environ["NEUROGEN_DATA"]) / "pdk"
    if not named:
        raise PdkError("PDK root is not known: give --pdk-root, or set the environment variable PDK_ROOT")
    if not Path(named).is_dir():
        raise PdkError(f"PDK root must be a folder, and {named} is not one")
    return Path(named).absolute()


def load_pdk(name: str, root: Path | str | None = None) -> Pdk:
    """Return a kit by its name or alias, after a look whether the files of its first corner are there.

    Parameters
    ----------
    name
        One of `pdk_names`, or an alias such as ``sky130`` or ``ihp-sg13g2``.
    root
        See `find_root`.

    Raises
    ------
    PdkError
        If the kit is unknown (lists them) or files are missing (names them).
    """
    known = describe_pdks()
    for key, data in known.items():
        if name == key or name in data["aliases"]:
            pdk = Pdk(key, find_root(root), data)
            missing = [file for file in data["corners"][pdk.corners[0]] if pdk.find(file) is None]
            if missing:
                raise PdkError(_missing(pdk.title, pdk.root, data["folders"], missing))
            return pdk
    names = ", ".join("/".join([key, *data["aliases"]]) for key, data in known.items())
    raise PdkError(f"PDK must be one of {names}, not {name!r}")


def _missing(title, root, folders, names):
    return (
        f"PDK root must hold the files of {title}, and {root} lacks {', '.join(names)} "
        f"(also with .gz; looked in {', '.join(folders)})"
    )


def _decompressed(path: Path, name: str) -> Path:
    """Return an uncompressed copy in the cache, addressed by content."""
    folder = cache_folder() / "pdk" / sha256(path.read_bytes()).hexdigest()[:24]
    if not (folder / name).exists():
        with staged(folder, keep=True) as part:
            try:
                with gzip.open(path) as source, (part / name).open("wb") as target:
                    shutil.copyfileobj(source, target)
            except (EOFError, gzip.BadGzipFile) as error:
                raise PdkError(f"File of a PDK must be a whole .gz file, not {path}: {error}") from None
    return folder / name

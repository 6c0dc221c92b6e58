"""Results that appear whole or not at all."""

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neurogen.flow.tools import ToolError


__all__ = ["staged"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged(target: Path | str, *, keep: bool = False) -> Iterator[Path]:
    """Give an empty folder to write to, and put it in the place of ``target`` at the end.

    Until then the earlier results stay as they are: after an error, an interruption or with a full disk
    the new folder is removed and ``target`` is unchanged. A process that gets killed leaves a folder
    ``.<name>.*.part`` behind, and ``target`` unchanged as well.

    Parameters
    ----------
    target
        Folder of the results. Its parents are created; whatever is in it is replaced as a whole.
    keep
        Keep an existing ``target``, and drop what was written: for results that are the same whoever
        writes them, such as the entries of a cache.

    Raises
    ------
    ToolError
        If the disk is full, or the folder cannot be written.
    """
    target = Path(target).absolute()
    if target.exists() and not target.is_dir():
        raise ToolError(f"Cannot write to {target}: it is a file, not a folder")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    except OSError as error:
        raise ToolError(f"Cannot write to {target}: {error.strerror}") from None
    try:
        yield part
        part.chmod(0o777 & ~_umask())  # mkdtemp makes folders for one user only
        _replace(part, target, keep)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ToolError(f"Cannot write to {target}: the disk is full; "
                            f"earlier results are untouched") from None
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already, or the earlier results by now


def _replace(part: Path, target: Path, keep: bool) -> None:
    try:
        os.rename(part, target)  # works if there is nothing, or an empty folder
        return
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    if keep:
        return
    if _exchange(part, target):
        return
    # Two steps where the system cannot exchange folders. If the second fails, the first is undone.
    aside = Path(f"{part}.old")
    os.rename(target, aside)
    try:
        os.rename(part, target)
    except BaseException:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; return False if this system does not know how."""
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    if swap is None:
        return False
    return swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

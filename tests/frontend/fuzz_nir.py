"""Fuzzer of the ``.nir`` reader: ``python -m tests.frontend.fuzz_nir --seconds 600 [FILE ...]``.

Every case runs in a child process with little memory and a time limit; only `NirError` may come out.
"""

import argparse
import os
import random
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from neurogen.frontend import nir_file
from neurogen.frontend.discretise import discretise
from neurogen.frontend.nir_file import NirError, read_nir
from neurogen.frontend.rules import RULES
from neurogen.frontend.simulate import simulate
from tests.frontend.graphs import braille


VALUES = (np.nan, np.inf, -np.inf, 0, -1, 1, 2**31, -2**63, 1e300, 1e-300, b"text", "same", np.array([]),
          np.zeros((1, 1)), np.zeros((2, 3)), np.ones((3, 1, 1, 1, 1)), np.array([1 + 2j]), [1, 2, 3], [0, 0],
          h5py.Empty("f8"), np.float16(1.5), True)


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Return damaged file content: flipped, overwritten, removed or repeated bytes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        at = rng.randrange(len(data))
        match rng.randrange(6):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                size = rng.choice((1, 2, 4, 8))
                data[at:at + size] = rng.choice((b"\xff", b"\x00", b"\x7f")) * size
            case 3:
                del data[at:at + rng.choice((1, 8, 512))]
            case 4:
                data[at:at] = data[at:at + rng.choice((1, 8, 512))]
            case 5 if rng.random() < 0.2:
                del data[at:]
        if not data:
            return b"\0"
    return bytes(data)


def _there(file, name):
    try:
        return file[name] is not None
    except (KeyError, OSError, RuntimeError):  # earlier mutations: gone, or links to nowhere or in a circle
        return False


def mutate_structure(path: Path, rng: random.Random) -> None:
    """Change datasets, groups, edges and links of a file that stays HDF5."""
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(rng.choice((1, 1, 2, 3))):
            name = rng.choice(names)
            if not _there(file, name):
                continue
            parent, _, leaf = name.rpartition("/")
            group = file[parent] if parent else file
            other = rng.choice(names)
            match rng.randrange(8):
                case 0:
                    del group[leaf]
                case 1 | 2:
                    del group[leaf]
                    group[leaf] = rng.choice(VALUES)
                case 3:
                    del group[leaf]
                    group[leaf] = rng.choice((h5py.SoftLink(f"/{other}"), h5py.SoftLink("/gone"),
                                              h5py.ExternalLink("other.h5", "/node")))
                case 4 if _there(file, other) and other != name:
                    del group[leaf]
                    if _there(file, other):
                        group[leaf] = file[other]  # a hard link, perhaps to a parent
                case 5 if leaf == "edges":
                    edges = [list(row) for row in group[leaf].asstr()[()]]
                    rng.choice(edges)[rng.randrange(2)] = rng.choice(["gone", "", edges[0][0], edges[-1][1]])
                    group[leaf][...] = np.array(edges, dtype=h5py.string_dtype())
                case 6 if leaf == "type":
                    del group[leaf]
                    group[leaf] = rng.choice(("Conv1d", "IF", "Linear", "NIRGraph", "Input", "Output",
                                              "Threshold", "Delay", "Scale", "AvgPool2d", "I", "CubaLI",
                                              "Nonsense"))
                case 7:
                    del group[leaf]
                    group.create_dataset(leaf, shape=rng.choice(((1 << 40,), (1 << 20, 1 << 20), (1 << 26,))),
                                         dtype="f8", chunks=True)


def run_case(path: Path, rng: random.Random, isolated: bool = False) -> str:
    """Import a file as far as it goes; return how far. Only `NirError` is caught."""
    stage = "read"
    try:
        graph = read_nir(path, isolated=isolated)
        stage = "discretise"
        network = discretise(graph, rng.choice(list(RULES)), dt=rng.choice((0.001, "infer")))
        stage = "simulate"
        if sum(np.prod(s) for s in network.shapes.values()) < 1e5:
            simulate(network, {n: np.ones((2, *network.shapes[n])) for n in network.inputs})
        return "imported"
    except NirError as error:
        if str(path.name) not in str(error):
            raise AssertionError(f"the message must name the file: {error}") from error
        return f"refused by {stage}"


def one_case(seed: int, seeds: list[bytes], folder: Path) -> str:
    """Make the case of a number and run it."""
    rng = random.Random(seed)
    path = folder / "case.nir"
    data = rng.choice(seeds)
    structural = rng.random() < 0.4
    path.write_bytes(data if structural else mutate_bytes(data, rng))
    if structural:
        mutate_structure(path, rng)
    return run_case(path, rng)


def child(first: int, count: int, seeds: list[bytes], folder: Path, megabytes: int) -> None:
    """Run cases; the file ``seed`` says which one, for the parent."""
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)
    tally: dict[str, int] = {}
    for seed in range(first, first + count):
        (folder / "seed").write_text(str(seed))
        signal.alarm(5)  # a case in which libhdf5 hangs ends this process
        result = one_case(seed, seeds, folder)
        tally[result] = tally.get(result, 0) + 1
    (folder / "tally").write_text(repr(tally))


def main() -> int:
    """Fuzz for some seconds and print what came of it; status 1 if anything but `NirError` did."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--megabytes", type=int, default=3000)
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    nir_file.TIMEOUT = 5
    seed, total, failures, end = options.seed, {}, [], time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seeds = [braille(folder / "own.nir").read_bytes(), *(f.read_bytes() for f in options.files)]
        while time.monotonic() < end:
            pid = os.fork()
            if not pid:
                status = 1
                try:
                    child(seed, 50, seeds, folder, options.megabytes)
                    status = 0
                finally:
                    if status:
                        sys.excepthook(*sys.exc_info())
                    os._exit(status)
            _, status = os.waitpid(pid, 0)
            if status:
                failed = int((folder / "seed").read_text())
                code = os.waitstatus_to_exitcode(status)
                if code < 0:  # libhdf5 hung or crashed: that is what the reader's own process is for
                    code = 0 if "refused" in run_case(folder / "case.nir", random.Random(0), True) else code
                    total["libhdf5 contained"] = total.get("libhdf5 contained", 0) + (code == 0)
                if code == 0:
                    seed = failed + 1
                    continue
                failures.append(failed)
                print(f"seed {failed}: ended with {code}")
                seed = failed + 1
                continue
            for key, value in eval((folder / "tally").read_text(), {"__builtins__": {}}).items():
                total[key] = total.get(key, 0) + value
            seed += 50
    print(f"{seed - options.seed} cases: {total}; {len(failures)} failures {failures[:20]}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

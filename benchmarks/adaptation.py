"""Few-shot adaptation to a speaker: Free Spoken Digits, leave one of six speakers out, integers, in golden.

``python -m benchmarks.adaptation --json adaptation.json --resume``. A network learns from recordings 5 to
19 of five speakers, then from 1, 3 or 5 recordings of each digit of the sixth, one after the other. The
accuracy before and after is that on the sixth speaker's other recordings; what is lost is measured on
recordings 0 to 4 of the five. Class by similarity with prototypes. With ``--resume``, results that the JSON
file holds are kept.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.common import machine, report
from benchmarks.learning_task import accuracy, train
from neurogen.flow.data import DataError
from neurogen.flow.fsdd import SPEAKERS, load_fsdd
from neurogen.frontend.speech import CHANNELS, encode
from neurogen.golden.learning import Simulator, random_weights
from neurogen.spec.learning import Learner, LearnLayer


__all__ = ["NETWORK", "SHOTS", "measure", "summary"]


NETWORK = Learner(inputs=CHANNELS, layers=[LearnLayer(neurons=256, recurrent=True, threshold=512)],
                  classes=10, window_full=256, window_half=512, trace_shift=3, rate_w=10, rate_r=11)
SHOTS = (1, 3, 5)  # recordings per digit
# By which the rates are lowered, epoch by epoch.
_LEARNING, _ADAPTING = (0, 0, 0, 1, 1, 2, 2, 3), (2, 2, 3, 3, 4, 4)
_DRAWS = 3  # choices of the recordings to adapt to
_TITLE = "Few-shot adaptation to a speaker"
_COLUMNS = {"speaker": "speaker", "seeds": "seeds", "before": "before %"} | {
    f"after_{k}": f"{k} per digit %" for k in SHOTS} | {"old": "old before %"} | {
    f"old_{k}": f"old after {k} %" for k in SHOTS} | {"updates": "words updated / read"}


def measure(rasters: np.ndarray, digits: np.ndarray, speakers: np.ndarray, numbers: np.ndarray, speaker: str,
            seed: int, progress: Callable[[int], None] | None = None) -> dict:
    """Return accuracies before and after, of the new speaker and the old ones, for one speaker and seed.

    Parameters
    ----------
    rasters, digits, speakers, numbers
        All recordings: ``uint8[n, steps, CHANNELS]``, and ``[n]`` each.
    speaker
        The one that is left out.
    seed
        Of weights, orders and draws.
    """
    random = np.random.RandomState(seed)
    first = np.flatnonzero((speakers != speaker) & (numbers >= 5))
    old = np.flatnonzero((speakers != speaker) & (numbers < 5))
    new = np.flatnonzero(speakers == speaker)
    simulator = Simulator(NETWORK, random_weights(NETWORK, seed, input_scale=28, recurrent_scale=10),
                          seed=7919 * seed + 1)
    train(simulator, NETWORK, rasters[first], digits[first], _LEARNING, random, progress)
    learnt = [layer.weights.copy() for layer in simulator.layers]

    def rate(weights, places):
        return accuracy(NETWORK, weights, rasters[places], digits[places])[0]
    row = {"before": rate(learnt, new), "old": rate(learnt, old),
           "updates": simulator.counters.updates / simulator.counters.reads}
    for shots in SHOTS:
        found = []
        for draw in range(_DRAWS):
            shown = np.concatenate([random.permutation(new[digits[new] == digit])[:shots]
                                    for digit in range(10)])
            adapted = Simulator(NETWORK, learnt, seed=7919 * seed + draw + 2)
            train(adapted, NETWORK, rasters[shown], digits[shown], _ADAPTING, random, progress)
            weights = [layer.weights for layer in adapted.layers]
            found.append((rate(weights, np.setdiff1d(new, shown)), rate(weights, old)))
        row[f"after_{shots}"], row[f"old_{shots}"] = np.mean(found, 0).tolist()
    return row


def samples_of_a_run(count: int) -> int:
    """Return how many samples `measure` learns from, with ``count`` recordings to start from."""
    return count * len(_LEARNING) + 10 * sum(SHOTS) * _DRAWS * len(_ADAPTING)


def summary(rows: Sequence[dict]) -> list[dict]:
    """Return the table: a row for each speaker, the mean over its seeds; and the mean of the speakers."""
    result = []
    for speaker in SPEAKERS:
        mine = [row for row in rows if row["speaker"] == speaker]
        if mine:
            keys = [key for key in _COLUMNS if key not in ("speaker", "seeds")]
            result.append({"speaker": speaker, "seeds": len(mine)}
                          | {key: float(np.mean([row[key] for row in mine])) for key in keys})
    if len(result) > 1:
        keys = [key for key in _COLUMNS if key not in ("speaker", "seeds")]
        means = {key: float(np.mean([row[key] for row in result])) for key in keys}
        result.append({"speaker": "mean"} | means)
    return result


def _save(path: Path, rows: list[dict]) -> None:
    """Write the results so far, so that an interrupted run can be resumed."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps({"title": _TITLE, "machine": machine("numpy"), "rows": rows}, indent=1,
                               sort_keys=True) + "\n", encoding="utf-8")
    os.replace(part, path)


def _kept(path: Path | None, resume: bool) -> list[dict]:
    if not (resume and path and path.exists()):
        return []
    return json.loads(path.read_text(encoding="utf-8"))["rows"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="runs of each speaker (default 2)")
    parser.add_argument("--speakers", default=",".join(SPEAKERS), help=f"of {', '.join(SPEAKERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of each run")
    parser.add_argument("--resume", action="store_true", help="keep results that FILE holds")
    options = parser.parse_args(arguments)
    wanted = [name.strip() for name in options.speakers.split(",")]
    for name in wanted:
        if name not in SPEAKERS:
            parser.error(f"Speaker must be one of {', '.join(SPEAKERS)}, not {name!r}")
    if options.seeds < 1:
        parser.error(f"Seeds must be at least 1, not {options.seeds}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
    try:
        rows = _kept(options.json, options.resume)
        recordings = load_fsdd()
    except (DataError, OSError, ValueError, KeyError) as error:
        print(error, file=sys.stderr)
        return 1
    done = {(row["speaker"], row["seed"]) for row in rows}
    left = [(name, seed) for seed in range(options.seeds) for name in wanted if (name, seed) not in done]
    with Progress() as progress:
        task = progress.add_task("Encoding", total=len(recordings))
        rasters = []
        for recording in recordings:
            rasters.append(encode(recording.samples, recording.rate))
            progress.advance(task)
        rasters = np.stack(rasters)
        digits, speakers, numbers = (np.array([getattr(r, name) for r in recordings])
                                     for name in ("digit", "speaker", "number"))
        for name, seed in left:
            count = int(((speakers != name) & (numbers >= 5)).sum())
            task = progress.add_task(f"{name}, seed {seed}", total=samples_of_a_run(count))
            found = measure(rasters, digits, speakers, numbers, name, seed,
                            lambda n, task=task: progress.advance(task, n))
            rows.append({"speaker": name, "seed": seed} | found)
            if options.json:
                _save(options.json, rows)
    report(_TITLE, _COLUMNS, summary(rows), packages=("numpy",))
    return 0


if __name__ == "__main__":
    sys.exit(main())

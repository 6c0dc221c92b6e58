"""Few-shot adaptation to a speaker: Free Spoken Digits, leave one of six speakers out, integers, in golden.

``python -m benchmarks.adaptation --json adaptation.json --resume``. A network learns from recordings 5 to
19 of five speakers, then from 1, 3 or 5 recordings of each digit of the sixth, one after the other. The
accuracy before and after is that on the sixth speaker's other recordings; what is lost is measured on
recordings 0 to 4 of the five. Class by similarity with prototypes. With ``--resume``, results that the JSON
file holds are kept.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.progress import Progress

from benchmarks.common import chosen, kept, report, save
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
_HEAD = {"speaker": "speaker", "seeds": "seeds"}
_NEW = {"before": "before"} | {f"after_{k}": f"{k} per digit" for k in SHOTS}
_OLD = {"old": "before"} | {f"old_{k}": f"{k} per digit" for k in SHOTS}
_UPDATES = {"updates": "words updated / read"}
_FIGURES = (*_NEW, *_OLD, *_UPDATES)


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
    """Return the means over the seeds of each speaker, and the mean of the speakers.

    With ``KEY_sd``, the standard deviation over seeds (of a sample, by ``n - 1``), where there are some;
    that of the mean is over the means of the seeds that all speakers have.
    """
    groups = {name: [row for row in rows if row["speaker"] == name] for name in SPEAKERS}
    groups = {name: mine for name, mine in groups.items() if mine}
    result = [{"speaker": name, "seeds": len(mine)} | _spread(mine) for name, mine in groups.items()]
    if len(result) > 1:
        common = sorted(set.intersection(*({row["seed"] for row in mine} for mine in groups.values())))
        seeds = [_spread([row for row in rows if row["seed"] == seed]) for seed in common]
        spread = {key: value for key, value in _spread(seeds).items() if key.endswith("_sd")} if seeds else {}
        means = {key: float(np.mean([row[key] for row in result])) for key in _FIGURES}
        result.append({"speaker": "mean", "seeds": len(common)} | means | spread)
    return result


def _spread(rows: Sequence[dict]) -> dict[str, float]:
    result = {key: float(np.mean([row[key] for row in rows])) for key in _FIGURES}
    if len(rows) > 1:
        result |= {f"{key}_sd": float(np.std([row[key] for row in rows], ddof=1)) for key in _FIGURES}
    return result


def _show(rows: Sequence[dict]) -> None:
    """Print the tables of a summary."""
    def text(row, key):
        digits = 2 if key in _UPDATES else 1
        spread = f" ± {row[f'{key}_sd']:.{digits}f}" if f"{key}_sd" in row else ""
        return f"{row[key]:.{digits}f}{spread}"
    for title, columns, head in ((f"{_TITLE}: % of the new speaker's other recordings", _NEW, _HEAD),
                                 (f"{_TITLE}: % of the old speakers", _OLD | _UPDATES, ("speaker",))):
        headings = {key: (_HEAD | columns)[key] for key in (*head, *columns)}
        report(title, headings, [{key: row[key] for key in head} | {key: text(row, key) for key in columns}
                                 for row in rows], packages=("numpy",))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptation", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="runs of each speaker (default 3)")
    parser.add_argument("--speakers", default="",
                        help=f"separated by commas: {', '.join(SPEAKERS)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of each run")
    parser.add_argument("--resume", action="store_true", help="keep results that FILE holds")
    options = parser.parse_args(arguments)
    wanted = chosen(parser, "Speaker", options.speakers, SPEAKERS)
    if options.seeds < 1:
        parser.error(f"Seeds must be at least 1, not {options.seeds}")
    try:
        rows = kept(options.json, ("speaker", "seed", *_FIGURES), resume=options.resume)
        recordings = load_fsdd()
    except (DataError, OSError, ValueError) as error:
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
                save(options.json, _TITLE, rows, ("numpy",))
    _show(summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())

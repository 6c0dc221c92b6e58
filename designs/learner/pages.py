"""The pages that builds and adaptations of the learner leave (`neurogen.flow.report`)."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from designs.learner.work import starting_weights
from neurogen.flow.report import describe_network
from neurogen.flow.results import peak_memory, versions
from neurogen.frontend.learnt import learnt_network
from neurogen.spec.learning import Learner


__all__ = ["adapt_page", "build_page"]


def _page(spec: Learner, config: str, weights: Sequence[np.ndarray], command: str, seconds: float) -> dict:
    overhead = spec.learning_overhead
    notes = [f"{name}: {size:,} bytes." for name, size in spec.state_bytes.items() if size]
    notes.append(f"Learning adds {overhead['bytes']:,} bytes: {100 * overhead['share']:.1f} % of those of "
                 f"inference, {overhead['per_neuron']:.1f} bytes per neuron, "
                 f"{overhead['per_synapse']:g} per synapse.")
    return {"network": describe_network(learnt_network(spec, weights), f"learner-{config}"),
            "config": {"name": config} | asdict(spec), "versions": versions(), "command": command,
            "wall_time": seconds, "peak_memory": peak_memory(), "notes": notes}


def build_page(spec: Learner, config: str, command: str, notes: Sequence[str], seconds: float,
               built: dict | None = None) -> dict:
    """Return what `write_report` takes for a build, with random weights in the picture of the network.

    Parameters
    ----------
    notes
        Sentences about what was built.
    built
        What `fpga.build.build_fpga` returned, for a bitstream.
    """
    data = _page(spec, config, starting_weights(spec, 1), command, seconds)
    data["notes"] += notes
    if built:
        data |= {"board": built["board"], "resources": built["resources"]}
        data["versions"] |= built["versions"]
    return data


def adapt_page(spec: Learner, config: str, weights: Sequence[np.ndarray], curve: Sequence[tuple[int, float]],
               engine: str, command: str, seconds: float) -> dict:
    """Return what `write_report` takes for an adaptation.

    Parameters
    ----------
    weights
        After it.
    curve
        Samples learnt from, and accuracy in percent then.
    engine
        What it ran on.
    """
    data = _page(spec, config, weights, command, seconds)
    data["notes"].append(f"Learnt on the {engine} engine; accuracy is that of the test digits.")
    accuracy = {"before": curve[0][1] / 100, "after": curve[-1][1] / 100}
    return data | {"accuracy": accuracy,
                   "learning": {"unit": "samples", "accuracy": {"test digits": [list(p) for p in curve]}}}

"""What a command starts from: a network, imported if need be, and recordings to run."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np

from neurogen.flow.errors import UserError
from neurogen.flow.event_files import load_events
from neurogen.frontend.digits import CLASSES, SHAPE, load_digits_events
from neurogen.frontend.discretise import discretise
from neurogen.frontend.graph import FloatNetwork
from neurogen.frontend.nir_file import read_nir
from neurogen.frontend.quantise import QuantisationError, quantise
from neurogen.spec.events import Events
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Network, NetworkError


__all__ = ["ImportOptions", "LoadedNetwork", "Samples", "load_network", "load_samples"]


_CALIBRATION = 20  # training digits on which the quantiser compares spikes
_RANDOM_STEPS = 16
_RANDOM_DENSITY = 0.1


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """How a ``.nir`` file becomes integers; ``None`` means what the configuration offers.

    Parameters
    ----------
    rule, dt, reset, multiplicity
        As in `neurogen.frontend.discretise.discretise`.
    weight_bits, scale, state_bits, fraction_bits
        As in `neurogen.frontend.quantise.quantise`. Without ``fraction_bits``: the most that the
        configuration offers and that fit the states.
    """

    rule: str = "snntorch"
    dt: float | str = "infer"
    reset: str | None = None
    multiplicity: int = 1
    weight_bits: int | None = None
    scale: str = "layer"
    state_bits: int | None = None
    fraction_bits: int | None = None


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and what is known about its origin.

    Parameters
    ----------
    network
        In integers.
    path
        Its file.
    quantisation
        The quantiser's report as plain values, or what the file keeps of it, or ``None``.
    float_network
        What it was quantised from, if this happened now.
    """

    network: Network
    path: Path
    quantisation: dict | None = None
    float_network: FloatNetwork | None = None


@dataclass(frozen=True)
class Samples:
    """Recordings to run.

    Parameters
    ----------
    events
        For each recording: events by input.
    labels
        Class of each recording, ``int64[recordings]``, if known.
    source
        Where they come from, as a sentence for reports.
    path
        Their file, if there is one.
    """

    events: Sequence[dict[str, Events]]
    labels: np.ndarray | None
    source: str
    path: Path | None = field(default=None)


def load_network(path: str | Path, options: ImportOptions, spec: MegaSpec) -> LoadedNetwork:
    """Return the network of a ``.npz`` or ``.nir`` file.

    Parameters
    ----------
    options
        For ``.nir`` files.
    spec
        The configuration whose widths are the defaults.

    Raises
    ------
    UserError, NetworkError, NirError, QuantisationError
        If the file cannot be used.
    """
    path = Path(path)
    if path.suffix == ".nir":
        return _import(path, options, spec)
    if path.suffix != ".npz":
        raise UserError(f"Network must be a .nir or .npz file, not {path}")
    _refuse(options, path)
    network = Network.load(path)
    network.check_widths()
    return LoadedNetwork(network, path, _kept(network))


def _refuse(options, path):
    """Raise where there is an option for an import and nothing to import."""
    given = [f.name for f in fields(options) if getattr(options, f.name) != f.default]
    if given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UserError(f"{path} is an integer network: nothing is left to decide for {names}; give the .nir "
                        f"file that it came from, or leave that out")


def _import(path, options, spec):
    exact = discretise(read_nir(path), options.rule, options.dt, options.reset, options.multiplicity)
    chosen = {"weight_bits": options.weight_bits or spec.weight_bits, "scale": options.scale,
              "state_bits": options.state_bits or spec.state_bits, "saturate": spec.saturate}
    if _is_digits(exact):
        chosen["calibration"] = load_digits_events("train", _CALIBRATION)[0]
    widths = [options.fraction_bits] if options.fraction_bits is not None else \
        sorted(spec.fraction_bits, reverse=True)
    for bits in widths:
        try:
            network, report = quantise(exact, fraction_bits=bits, **chosen)
        except QuantisationError as error:
            if bits == widths[-1]:
                raise QuantisationError(f"{path}: {error}") from None
            continue  # fewer bits below the point leave more above it
        return LoadedNetwork(network, path, report.to_dict(), exact)
    raise UserError(f"{path}: the configuration must offer fraction bits")


def _kept(network):
    """Return what the quantiser left in the metadata of a network, as a report by layer."""
    kept = network.metadata.get("quantisation")
    populations = kept.get("populations") if isinstance(kept, dict) else None
    if not isinstance(populations, dict) or not all(isinstance(p, dict) for p in populations.values()):
        return None
    layers = []
    for name, facts in populations.items():
        if name in network.populations:
            node, proof = network.nodes[name], network.proof(name)
            threshold = [int(node.threshold.min()), int(node.threshold.max())]
            layers.append({"name": name, **facts, "state_bits": node.state_bits, "saturate": node.saturate,
                           "fraction_bits": node.fraction_bits, "threshold": threshold,
                           "positive": proof.positive, "negative": proof.negative,
                           "v_lo": node.v_lo, "v_hi": node.v_hi})
    return {"layers": layers} if layers else None


def _is_digits(network: Network | FloatNetwork) -> bool:
    """Return whether this is the network that ships, in whatever widths: it came from ``digits.nir``."""
    source = Path(str(network.metadata.get("source", ""))).name
    return (source == "digits.nir" and [network.shapes[name] for name in network.inputs] == [SHAPE]
            and [network.shapes[name] for name in network.outputs] == [(CLASSES,)])


def load_samples(loaded: LoadedNetwork, path: str | Path | None, count: int) -> Samples:
    """Return recordings: those of a file, held-out digits for the network that ships, or random ones.

    Parameters
    ----------
    path
        A file of `neurogen.flow.event_files`, or ``None``.
    count
        Number of digits or of random recordings.
    """
    network = loaded.network
    if not network.inputs:
        raise NetworkError("Network must have an input")
    if path is not None:
        events = load_events(path, network)
        return Samples([events], None, f"Events from {Path(path).name}.", Path(path))
    if _is_digits(network):
        recordings, labels = load_digits_events("test", count)
        (source,) = network.inputs
        return Samples([{source: events} for events in recordings], labels,
                       f"Events: the first {len(labels)} held-out digits.")
    return Samples([_random(network, seed) for seed in range(count)], None,
                   f"Events: random, {_RANDOM_DENSITY:.0%} of the inputs in each of {_RANDOM_STEPS} steps; "
                   f"accuracy and sparsity of real recordings need --events.")


def _random(network, seed):
    random = np.random.RandomState(seed)  # its stream never changes
    result = {}
    for name in network.inputs:
        counts = random.random_sample((_RANDOM_STEPS, *network.shapes[name])) < _RANDOM_DENSITY
        result[name] = Events.from_counts(counts)
    return result

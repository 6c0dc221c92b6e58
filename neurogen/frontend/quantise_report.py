"""What quantisation did to each layer: errors of the weights, widths, and spikes that differ."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from neurogen.frontend.graph import FloatNetwork
from neurogen.frontend.simulate import simulate
from neurogen.golden.network import run
from neurogen.spec.events import Events
from neurogen.spec.network import Network


__all__ = ["LayerReport", "QuantisationReport", "compare_spikes", "weight_errors"]


@dataclass(frozen=True, kw_only=True)
class LayerReport:
    """One population and the synapses that reach it.

    Parameters
    ----------
    name, synapses
        Of the nodes.
    scale
        Float units of one weight LSB: one for the layer, or one per channel or neuron.
    weight_bits, fraction_bits, state_bits
        As chosen.
    saturate
        Whether additions are clipped to ``state_bits``, as a step may bring more.
    comfortable_bits
        Smallest state width that ``state_bits="auto"`` would take; 0 if none would do.
    positive, negative
        Largest and smallest input of a step, in units of ``V``.
    threshold
        Smallest and largest, in units of ``V``.
    v_lo, v_hi, i_lo, i_hi
        Guard bands.
    weights, clipped
        Number of weights, and of those beyond the largest integer.
    max_error, rms_error
        Of the weights, in their float units.
    sqnr_db
        Ratio of the weights' power to their error's, in dB; ``None`` without an error.
    spikes_float, spikes_integer
        On the calibration events, of all recordings together; ``None`` without calibration.
    spikes_differing
        Sum over neurons and steps of the difference in spikes.
    guard_hits
        How often a potential or current was at its guard at the end of a step.
    """

    name: str
    synapses: tuple[str, ...] = ()
    scale: tuple[float, ...] = ()
    weight_bits: int = 0
    fraction_bits: int = 0
    state_bits: int = 0
    saturate: bool = False
    comfortable_bits: int = 0
    positive: int = 0
    negative: int = 0
    threshold: tuple[int, int] = (0, 0)
    v_lo: int = 0
    v_hi: int = 0
    i_lo: int = 0
    i_hi: int = 0
    weights: int = 0
    clipped: int = 0
    max_error: float = 0.0
    rms_error: float = 0.0
    sqnr_db: float | None = None
    spikes_float: int | None = None
    spikes_integer: int | None = None
    spikes_differing: int | None = None
    guard_hits: int | None = None


@dataclass(frozen=True)
class QuantisationReport:
    """What quantisation did.

    Parameters
    ----------
    layers
        One `LayerReport` per population, in the order of evaluation.
    """

    layers: tuple[LayerReport, ...]

    def to_dict(self) -> dict:
        """Return the report as JSON values."""
        layers = [asdict(layer) for layer in self.layers]
        return {"layers": [{key: list(value) if isinstance(value, tuple) else value
                            for key, value in layer.items()} for layer in layers]}


def weight_errors(exact: Sequence[np.ndarray], integers: Sequence[np.ndarray], scale: np.ndarray,
                  limit: int) -> dict[str, object]:
    """Return the fields of `LayerReport` that tell how well integers times scale match the weights."""
    exact, integers = (np.concatenate([w.reshape(len(w), -1) for w in part], 1)
                       for part in (exact, integers))
    column = np.reshape(scale, (-1, 1))
    error = integers * column - exact
    noise, power = float((error**2).mean()), float((exact**2).mean())
    return {"weights": exact.size, "clipped": int((np.rint(np.abs(exact) / column) > limit).sum()),
            "max_error": float(np.abs(error).max()), "rms_error": noise**0.5,
            "sqnr_db": float(10 * np.log10(power / noise)) if noise > 0 and power > 0 else None}


def compare_spikes(network: FloatNetwork, integer: Network, calibration: Sequence[Events],
                   layers: Sequence[LayerReport]) -> list[LayerReport]:
    """Return the layers with what the calibration events did in both networks.

    Parameters
    ----------
    network, integer
        The float network and its quantised form.
    calibration
        Recordings for the only input.
    layers
        The layers to compare.
    """
    if len(network.inputs) != 1:
        raise ValueError(f"Network must have one input to be calibrated, not {len(network.inputs)}")
    (source,) = network.inputs
    totals = {layer.name: np.zeros(4, np.int64) for layer in layers}
    for events in calibration:
        wanted = simulate(network, {source: events.counts()}, tuple(totals))
        found = run(integer, {source: events})
        for name, total in totals.items():
            exact, counts = wanted.spikes[name].astype(np.int64), found.spikes[name].counts()
            late = network.nodes[name].latency  # the float run shifts spikes, golden does not
            counts = np.concatenate([np.zeros_like(counts[:late]), counts[:len(counts) - late]])
            total += (exact.sum(), counts.sum(), np.abs(exact - counts).sum(),
                      _hits(integer.nodes[name], found, name))
    return [replace(layer, **dict(zip(("spikes_float", "spikes_integer", "spikes_differing", "guard_hits"),
                                      map(int, totals[layer.name]), strict=True))) for layer in layers]


def _hits(lif, found, name):
    v = found.potentials[name]
    # A guard at zero is met by every resting neuron, and loses nothing where no input could pass it.
    hits = int(((v == lif.v_lo) & (lif.v_lo < 0)).sum() + ((v == lif.v_hi) & (lif.v_hi > 0)).sum())
    if lif.cuba:
        i = found.currents[name]
        hits += int(((i == lif.i_lo) & (lif.i_lo < 0)).sum() + ((i == lif.i_hi) & (lif.i_hi > 0)).sum())
    return hits

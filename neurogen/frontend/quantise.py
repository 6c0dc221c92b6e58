"""From a float network to the integer contract.

Per population, with ``s`` the scale of the weights that reach it (float units of one weight LSB) and
``f`` its fraction bits:

==========  =======================================================================================
weight      ``clip(rint(w / s), -m, m)`` with ``m = 2**(weight_bits - 1) - 1`` (ties to even)
bias        ``rint(b * 2**f / s)``; so are reset value and initial state
threshold   ``floor(th * 2**f / s) + 1`` where the float rule is ``>``, ``ceil`` of it where ``>=``
decay       ``rint(a * 2**decay_bits) * 2**(12 - decay_bits)``
guard band  as wide as the state width leaves; see `quantise`
==========  =======================================================================================

What the contract cannot keep is refused with the name of the node and what to choose instead.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import numpy as np

from neurogen.frontend.graph import FloatConv, FloatDense, FloatLif, FloatNetwork
from neurogen.frontend.quantise_report import LayerReport, QuantisationReport, compare_spikes, weight_errors
from neurogen.frontend.quantise_widths import Fit, QuantisationError, decayed
from neurogen.spec.checks import check_choice, check_int
from neurogen.spec.conv import Conv
from neurogen.spec.dense import Dense
from neurogen.spec.events import Events
from neurogen.spec.lif import Lif, Reset
from neurogen.spec.network import Network, NetworkError


__all__ = ["QuantisationError", "QuantisationReport", "quantise"]


_SCALES = ("layer", "channel", "neuron")
_CLIPS = ("max", "mse", "events")
_CANDIDATES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4)  # of the largest weight, tried by "events"


def quantise(network: FloatNetwork, *, weight_bits: int | Mapping = 8,
             scale: str | float | np.ndarray | Mapping = "layer", clip: str | float = "max",
             state_bits: int | str | Mapping = "auto", fraction_bits: int | Mapping = 0,
             decay_bits: int = 12, guard: float = 4.0, guards: Mapping | None = None,
             saturate: bool = False,
             calibration: Sequence[Events] | None = None) -> tuple[Network, QuantisationReport]:
    """Return the integer network and what became of each layer.

    An option marked (*) may also be a mapping from the name of a population to its value; it then
    holds a value for each population.

    Parameters
    ----------
    weight_bits
        (*) Width of the signed weights, 2 to 8 bits.
    scale
        (*) ``"layer"``: one scale for all weights that reach a population; ``"channel"``: one per
        channel of a map, one for a whole vector; ``"neuron"``: one per neuron of a vector, one per
        channel of a map. Or the scale itself, above 0: a number, or an array of shape ``(C,)``.
    clip
        What a scale is chosen by: ``"max"``, the largest weight is kept; ``"mse"``, least squared
        error of the weights; ``"events"``, fewest spikes that differ on the calibration events,
        layer by layer; a number from 50 to 100, that percentile of the weights' magnitudes is kept.
    state_bits
        (*) Width of potentials and currents, 4 to 32 bits, or ``"auto"``: the smallest that holds any
        potential below the threshold, ``guard`` thresholds beyond that, and a read-out's or
        current's largest equilibrium, but no more of those than 16 steps of input bring.
    fraction_bits
        (*) Bits of potentials below one weight LSB, 0 to 8.
    decay_bits
        Bits of the decay factors after the point, 1 to 12.
    guard
        See ``state_bits``, in thresholds, at least 1. A given width needs 1 only.
    guards
        Guard bands instead of the widest ones: for some populations, a mapping with ``v_lo`` and
        ``v_hi`` (and ``i_lo`` and ``i_hi``), in units of ``V``.
    saturate
        Let populations whose sums a given ``state_bits`` may not hold clip their additions (see `Lif`),
        instead of refusing them.
    calibration
        Recordings for the network's only input; the report then compares spikes.

    Raises
    ------
    QuantisationError
        If the network, or a width, cannot be kept.
    """
    check_int("Decay width", decay_bits, minimum=1, maximum=12, unit="bits")
    if not guard >= 1:
        raise ValueError(f"Guard must be at least 1 threshold, not {guard!r}")
    _check_clip(clip, calibration)
    chosen = {name: {
        "weight_bits": check_int("Weight width", _option(weight_bits, name, "Weight width"), minimum=2,
                                 maximum=8, unit="bits"),
        "scale": _option(scale, name, "Scale"),
        "state_bits": _state_bits(_option(state_bits, name, "State width")),
        "fraction_bits": check_int("Fraction bits", _option(fraction_bits, name, "Fraction bits"),
                                   minimum=0, maximum=8),
    } for name in network.populations}
    for name in network.populations:
        _refuse(network, name)
    scales = {name: _scale(network, name, chosen[name], "max" if clip == "events" else clip)
              for name in network.populations}

    def build() -> tuple[Network, dict[str, int]]:
        return _build(network, scales, chosen, decay_bits, guard, dict(guards or {}), saturate)

    result, needed = build()
    if clip == "events":
        for name in network.populations:
            _search(network, name, scales, build, calibration)
        result, needed = build()
    layers = [_layer_report(network, result, name, scales[name], chosen[name], needed[name])
              for name in network.populations]
    if calibration is not None:
        layers = compare_spikes(network, result, calibration, layers)
    return result, QuantisationReport(tuple(layers))


# -- Options -------------------------------------------------------------------------------------------

def _option(value, name, title):
    if not isinstance(value, Mapping):
        return value
    if name not in value:
        raise ValueError(f"{title} must have a value for population {name!r}")
    return value[name]


def _state_bits(value):
    if value == "auto":
        return value
    return check_int("State width", value, minimum=4, maximum=32, unit="bits")


def _check_clip(clip, calibration):
    if isinstance(clip, str):
        check_choice("Clip", clip, _CLIPS)
        if clip == "events" and calibration is None:
            raise ValueError("Clip 'events' needs calibration events")
    elif not 50 <= clip <= 100:
        raise ValueError(f"Clip must be a percentile between 50 and 100, not {clip!r}")


def _refuse(network, name):
    """Raise where a population obeys a rule that the integer contract does not have."""
    lif = network.nodes[name]
    for present, what, instead in (
            (lif.double_threshold, "snnTorch's double threshold",
             "import with plain subtraction (rule 'norse')"),
            (lif.reset_delayed, "reset one step late",
             "import with a reset in the same step (rule 'norse' or 'snntorch')"),
            (lif.old_current, "membranes that take the current of the step before",
             "import with the new current (rule 'norse' or 'snntorch')"),
            (lif.decay_rounding == "floor", "decays that round toward minus infinity",
             "import with decays that round toward zero (rule 'lava')")):
        if present:
            raise QuantisationError(f"Node {name!r}: the integer contract has no {what}; {instead}")
    for edge in network.sources(name):
        if len(network.targets(edge.source)) > 1:
            raise QuantisationError(f"Node {edge.source!r} must feed one population, as its weights take "
                                    f"that population's scale; give each population its own copy")


# -- Scales --------------------------------------------------------------------------------------------

def _rows(network, name):
    """Return the weights that reach a population, ``[C, weights of a channel or neuron]``."""
    weights = [network.nodes[edge.source].weight for edge in network.sources(name)]
    rows = np.concatenate([weight.reshape(len(weight), -1) for weight in weights], axis=1)
    if not np.isfinite(rows).all():
        raise QuantisationError(f"Node {name!r} must receive finite weights")
    return rows


def _scale(network, name, options, clip):
    """Return the scale of a population, of shape ``()`` or ``(C,)``."""
    wanted, lif, rows = options["scale"], network.nodes[name], np.abs(_rows(network, name))
    if not isinstance(wanted, str):
        scale = np.asarray(wanted, np.float64)
        if scale.shape not in ((), lif.shape[:1]) or not (np.isfinite(scale) & (scale > 0)).all():
            raise ValueError(f"Scale of {name!r} must be above 0, of shape () or {lif.shape[:1]}, "
                             f"not {wanted!r}")
        return scale
    check_choice("Scale", wanted, _SCALES)
    if wanted == "layer" or (wanted == "channel" and len(lif.shape) == 1):
        rows = rows.reshape(1, -1)
    limit = (1 << (options["weight_bits"] - 1)) - 1
    scale = rows.max(1) / limit
    if clip == "mse":
        scale = _least_squares(rows, scale, limit)
    elif not isinstance(clip, str):
        scale = np.percentile(rows, clip, axis=1) / limit
    # A neuron without weights takes the scale of the others; its threshold and bias still need one.
    fallback = scale.max() if scale.max() > 0 else 1.0
    scale = np.where(scale > 0, scale, fallback)
    return scale[0] if len(rows) == 1 else scale


def _least_squares(rows, scale, limit):
    best, error = scale, np.full(len(rows), np.inf)
    for part in np.linspace(1, 0.25, 76):
        trial = np.maximum(part * scale, np.finfo(float).tiny)[:, None]
        now = ((np.minimum(np.rint(rows / trial), limit) * trial - rows) ** 2).sum(1)
        best, error = np.where(now < error, part * scale, best), np.minimum(now, error)
    return best


def _search(network, name, scales, build, calibration):
    """Set the scale of a population to the candidate with the fewest differing spikes."""
    widest, best = scales[name], None
    for part in _CANDIDATES:
        scales[name] = widest * part
        try:
            layers = compare_spikes(network, build()[0], calibration, [LayerReport(name=name)])
        except QuantisationError:
            continue  # this one does not fit the state width; the widest did
        if best is None or layers[0].spikes_differing < best[0]:
            best = layers[0].spikes_differing, widest * part
    scales[name] = best[1]


# -- Integers ------------------------------------------------------------------------------------------

def _integers(value, scale, rounding=np.rint):
    """Return ``value / scale`` rounded; ``scale`` runs along the first axis."""
    value = np.asarray(value, np.float64)
    if np.ndim(scale) and value.ndim > 1:
        scale = scale.reshape(scale.shape + (1,) * (value.ndim - 1))
    rounded = rounding(value / scale)
    if not (np.abs(rounded) < 2.0**31).all():
        raise OverflowError(f"every parameter must be below 2**31 steps of its potential, not "
                            f"{np.abs(rounded).max():.3g}; use fewer fraction or weight bits")
    return rounded.astype(np.int64)


def _parameter(network, name, key):
    """Return a parameter of a population in the shape ``()`` or ``(C,)`` of the contract."""
    value = getattr(network.nodes[name], key)
    if value.ndim > 1:
        rows = value.reshape(len(value), -1)
        if (rows != rows[:, :1]).any():
            raise QuantisationError(f"Node {name!r}: {key.replace('_', ' ')} must be the same for all "
                                    f"neurons of a channel")
        value = rows[:, 0]
    return value[0] if value.ndim and (value == value[0]).all() else value


def _synapse(node, scale, bits, fraction_bits):
    limit = (1 << (bits - 1)) - 1
    weight = np.clip(_integers(node.weight, scale), -limit, limit)
    bias = _integers(node.bias, scale / 2.0**fraction_bits)
    if isinstance(node, FloatConv):
        return Conv(weight=weight, bias=bias, stride=node.stride, padding=node.padding)
    return Dense(weight=weight, bias=bias)


def _population(network, name, scale, fraction_bits, decay_bits):
    """Return the fields of a `Lif` but its width and guard band, and the lower clamp or ``None``."""
    lif = network.nodes[name]
    unit = scale / 2.0**fraction_bits

    def decay(key):
        factor = _parameter(network, name, key)
        return np.rint(factor * 2.0**decay_bits).astype(np.int64) << (12 - decay_bits)

    fields = {"shape": lif.shape, "reset": lif.reset, "multi_spike": lif.multi_spike,
              "fraction_bits": fraction_bits, "decay": decay("decay")}
    if lif.cuba:
        fields["synapse_decay"] = decay("synapse_decay")
    for key in ("bias", "reset_value", "initial"):
        fields[key] = _integers(_parameter(network, name, key), unit)
    if lif.reset is not Reset.NONE:
        threshold = _parameter(network, name, "threshold")
        fields["threshold"] = (_integers(threshold, unit, np.floor) + 1 if lif.strict
                               else _integers(threshold, unit, np.ceil))
    clamp = None
    if lif.v_lo is not None:
        bounds = _parameter(network, name, "v_lo") / unit
        if np.ndim(bounds) and (bounds != bounds[0]).any():
            raise QuantisationError(f"Node {name!r}: a lower clamp must be the same integer for all neurons; "
                                    f"use scale='layer'")
        # The float rule clamps before the decay, the contract after it; decaying the clamp makes
        # them equal.
        clamp = -decayed(-int(np.rint(np.ravel(bounds)[0])), fields["decay"])
    return fields, clamp


def _build(network, scales, chosen, decay_bits, guard, guards, saturate):
    """Return the integer network, and the width that each population would like."""
    nodes = {name: node for name, node in network.nodes.items()
             if not isinstance(node, FloatLif | FloatConv | FloatDense)}
    fields, clamps = {}, {}
    for name in network.populations:
        options = chosen[name]
        try:
            fields[name], clamps[name] = _population(network, name, scales[name], options["fraction_bits"],
                                                     decay_bits)
        except OverflowError as error:
            raise QuantisationError(f"Node {name!r}: {error}") from None
        nodes[name] = Lif(shape=network.nodes[name].shape, threshold=1)  # until its width is known
        for edge in network.sources(name):
            try:
                nodes[edge.source] = _synapse(network.nodes[edge.source], scales[name],
                                              options["weight_bits"], options["fraction_bits"])
            except (ValueError, OverflowError) as error:
                raise QuantisationError(f"Node {edge.source!r}: {error}") from None
    nodes = {name: nodes[name] for name in network.nodes}
    needed = {}
    for name in network.populations:
        fit = Fit(nodes, network, name, fields[name], clamps[name], guard, guards.get(name),
                  saturate)
        nodes[name], needed[name] = fit.choose(chosen[name]["state_bits"])
    try:
        result = Network(nodes, network.edges, network.outputs,
                         _metadata(network, scales, chosen, decay_bits))
        result.check_widths()
    except NetworkError as error:
        raise QuantisationError(str(error)) from None
    return result, needed


def _metadata(network, scales, chosen, decay_bits):
    metadata = dict(network.metadata)
    if "source" in metadata:  # a name, so that the same file gives the same network everywhere
        metadata["source"] = PurePath(str(metadata["source"])).name
    latency = {name: network.nodes[name].latency for name in network.outputs
               if network.nodes[name].latency}
    if latency:
        metadata["output_latency"] = latency
    metadata["quantisation"] = {"decay_bits": decay_bits, "populations": {
        name: {"weight_bits": chosen[name]["weight_bits"], "scale": np.asarray(scales[name]).tolist()}
        for name in network.populations}}
    return metadata


# -- Report --------------------------------------------------------------------------------------------

def _layer_report(network, result, name, scale, options, needed):
    lif = result.nodes[name]
    synapses = tuple(edge.source for edge in network.sources(name))
    errors = weight_errors([network.nodes[s].weight for s in synapses],
                           [result.nodes[s].weight for s in synapses], scale,
                           (1 << (options["weight_bits"] - 1)) - 1)
    proof = result.proof(name)
    return LayerReport(
        name=name, synapses=synapses, scale=tuple(np.ravel(scale).tolist()),
        weight_bits=options["weight_bits"], fraction_bits=options["fraction_bits"],
        state_bits=lif.state_bits, saturate=lif.saturate, comfortable_bits=needed or 0,
        positive=proof.positive,
        negative=proof.negative, v_lo=lif.v_lo, v_hi=lif.v_hi, i_lo=lif.i_lo, i_hi=lif.i_hi,
        threshold=(int(lif.threshold.min()), int(lif.threshold.max())), **errors)

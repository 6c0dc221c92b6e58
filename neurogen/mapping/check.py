"""What a configuration must offer for a network, whatever the split."""

import numpy as np

from neurogen.mapping.lower import Connection, most_spikes
from neurogen.mapping.plan import ConfigurationError
from neurogen.spec.conv import Conv
from neurogen.spec.events import C_BITS, X_BITS, Y_BITS
from neurogen.spec.lif import DECAY_ONE
from neurogen.spec.mega import MegaSpec
from neurogen.spec.network import Network


__all__ = ["check_configuration"]


_MAX_POPULATIONS = 256  # numbers in the instruction's field
_MAX_SPIKES = 64  # of a neuron in a step: each takes a sweep
_MAX_DELAY = 255  # slots of a ring, less the one that is written


def check_configuration(network: Network, spec: MegaSpec, connections: dict[str, tuple[Connection, ...]],
                        name: str) -> None:
    """Raise `ConfigurationError` if no split of the network can run on the configuration.

    Parameters
    ----------
    name
        What messages call the configuration.
    """
    proofs = network.check_widths()
    if len(network.populations) > _MAX_POPULATIONS:
        raise ConfigurationError(f"Network must have at most {_MAX_POPULATIONS} populations, not "
                                 f"{len(network.populations)}")
    for node in (*network.inputs, *network.populations):
        _check_coordinates(node, network.shapes[node])
    for population in network.populations:
        _check_population(network, spec, population, proofs[population], name)
        for way in connections[population]:
            _check_weights(network.nodes[way.synapse], spec, way.synapse, name)
            if way.delay > _MAX_DELAY:
                raise ConfigurationError(f"Delay from {way.source!r} to {way.synapse!r} must be at most "
                                         f"{_MAX_DELAY} steps in all, not {way.delay}")


def _check_coordinates(node, shape):
    limits = (1 << C_BITS, 1 << Y_BITS, 1 << X_BITS)
    if any(size > limit for size, limit in zip(shape, limits, strict=False)):
        raise ConfigurationError(f"Node {node!r} must have a shape of at most {limits[:len(shape)]}, "
                                 f"not {shape}")


def _check_population(network, spec, name, proof, config):
    node = network.nodes[name]
    if node.fraction_bits not in spec.fraction_bits:
        raise ConfigurationError(
            f"Node {name!r}: fraction bits must be one of {list(spec.fraction_bits)} on {config}, not "
            f"{node.fraction_bits}; fraction_bits "
            f"{sorted({*spec.fraction_bits, node.fraction_bits})} would fit")
    if (spikes := most_spikes(network, name)) > _MAX_SPIKES:
        raise ConfigurationError(
            f"Node {name!r}: neurons must emit at most {_MAX_SPIKES} spikes per step on this accelerator, a "
            f"sweep each, and potentials up to {proof.high} with a threshold of "
            f"{int(node.threshold.min())} may bring {spikes}; use a larger threshold, a narrower guard band, "
            f"or one spike per step")
    if node.cuba and not spec.cuba:
        raise ConfigurationError(f"Node {name!r}: {config} must have CuBa-LIF neurons (cuba: true)")
    values = [node.threshold, node.reset_value, node.initial, network.total_bias(name), node.v_lo, node.v_hi]
    values += [node.i_lo, node.i_hi] if node.cuba else []
    low = min(int(np.min(v)) for v in values)
    high = max(int(np.max(v)) for v in values)
    if node.saturate and not (spec.saturate and spec.state_bits == node.state_bits):
        wanted = f"state_bits {node.state_bits} and saturate: true"
        raise ConfigurationError(f"Node {name!r} clips its additions to {node.state_bits} bits: {config} "
                                 f"must have {wanted}, not {spec.state_bits} and "
                                 f"{str(spec.saturate).lower()}")
    needed = max(0 if node.saturate else proof.bits, high.bit_length() + 1,
                 (-low - 1).bit_length() + 1 if low < 0 else 1)
    if needed > spec.state_bits:
        raise ConfigurationError(
            f"Node {name!r} needs states of {needed} bits for values from {min(low, proof.low)} to "
            f"{max(high, proof.high)}, and {config} has {spec.state_bits}; state_bits {needed} would fit")
    for title, decay in (("decay", node.decay), ("synapse decay", node.synapse_decay)):
        if decay is None or ((decay == decay.flat[0]).all() and int(decay.flat[0]) == 0):
            continue  # no leak at all, or a guard band of zero instead
        leak = DECAY_ONE - int(decay.min())
        if leak.bit_length() > spec.state_bits:
            raise ConfigurationError(
                f"Node {name!r}: a {title} of {int(decay.min())} needs states of {leak.bit_length()} bits "
                f"beside the others of the population, and {config} has {spec.state_bits}; state_bits "
                f"{leak.bit_length()} would fit")


def _check_weights(synapse, spec, name, config):
    low, high = int(synapse.weight.min()), int(synapse.weight.max())
    needed = max((high if high >= 0 else 0).bit_length(), (-low - 1).bit_length() if low < 0 else 0) + 1
    if needed > spec.weight_bits:
        kind = "Convolution" if isinstance(synapse, Conv) else "Dense"
        more = f"; weight_bits {needed} would fit" if needed <= 8 else "; quantise to at most 8 bits"
        raise ConfigurationError(f"Node {name!r}: {kind} weights from {low} to {high} need {needed} bits, "
                                 f"and {config} has {spec.weight_bits}{more}")

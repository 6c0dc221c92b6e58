"""Loihi's integers, as Lava's and the chip's published traces show them."""

from dataclasses import replace

import numpy as np

from neurogen.frontend.graph import FloatConv, FloatDense, FloatLif, FloatNetwork, Reset


__all__ = ["to_fixed_point"]

_SHIFT = 64      # potentials have six fraction bits
_MAX_WEIGHT = 256


def to_fixed_point(network: FloatNetwork) -> FloatNetwork:
    """Return the network with the integers that Lava's importer computes, still in float64 arrays.

    ``dv = int(decay * 4095)``, ``vth = int(vth * 131071) >> 9``, weights like thresholds; potentials
    and thresholds in units of 2**-6 of a weight; decays round toward zero.
    """
    nodes = {name: _convert(name, node) for name, node in network.nodes.items()}
    return FloatNetwork(nodes, network.edges, network.outputs, network.metadata)


def _scaled(value):
    return np.floor(np.trunc(value * 131071) / 512) * _SHIFT


def _factor(decay):
    return (4096 - np.trunc((1 - decay) * 4095 + 1e-9)) / 4096


def _convert(name, node):
    if isinstance(node, FloatConv | FloatDense):
        weight = _scaled(node.weight)
        if np.abs(weight).max() > _MAX_WEIGHT * _SHIFT:
            raise ValueError(f"Node {name!r}: weights must be between -1 and 1 for Loihi's 8 bits, not up to "
                             f"{np.abs(node.weight).max():g}")
        return replace(node, weight=weight, bias=_scaled(node.bias))
    if not isinstance(node, FloatLif):
        return node
    threshold = node.threshold if node.reset is Reset.NONE else _scaled(node.threshold)
    synapse_decay = None if node.synapse_decay is None else _factor(node.synapse_decay)
    return replace(node, threshold=threshold, decay=_factor(node.decay), synapse_decay=synapse_decay,
                   bias=_scaled(node.bias), reset_value=_scaled(node.reset_value),
                   initial=_scaled(node.initial), decay_rounding="trunc",
                   unit=node.unit * 512 / 131071 / _SHIFT)

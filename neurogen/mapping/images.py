"""Rows of the weight memory: kernels, dense weights and neuron parameters."""

from math import ceil

import numpy as np

from neurogen.spec.conv import Conv
from neurogen.spec.lif import DECAY_ONE, Lif
from neurogen.spec.mega import BANKS, PARAMETERS, MegaSpec


__all__ = ["conv_rows", "dense_rows", "external_words", "initial_sets", "parameter_rows", "parameter_sets",
           "sub_windows"]


def sub_windows(conv: Conv) -> int:
    """Return the 3x3 sub-windows per axis."""
    return ceil(ceil(conv.kernel / conv.stride) / 3)


def conv_rows(conv: Conv, channels: range, outputs: range, total: int) -> np.ndarray:
    """Return the rows of a convolution, ``int8[channels * words_per_channel, 9, total]``.

    Parameters
    ----------
    channels
        Input channels.
    outputs
        Output channels; the last group is filled with zeros.
    total
        Lanes of all clusters.
    """
    kernel, stride, subs = conv.kernel, conv.stride, sub_windows(conv)
    groups = -(-len(outputs) // total)
    weight = np.zeros((groups * total, len(channels), kernel, kernel), np.int8)
    weight[:len(outputs)] = conv.weight[outputs.start:outputs.stop, channels.start:channels.stop]
    weight = weight.reshape(groups, total, len(channels), kernel, kernel)
    rows = np.zeros((len(channels), stride, stride, subs, subs, groups, 3, 3, total), np.int8)
    # Tap i of sub-window m is kernel line stride * (3 * m + 2 - i) + p.
    lines = [(p, m, i, k) for p in range(stride) for m in range(subs) for i in range(3)
             if (k := stride * (3 * m + 2 - i) + p) < kernel]
    for p_y, m_y, i_y, k_y in lines:
        for p_x, m_x, i_x, k_x in lines:
            rows[:, p_y, p_x, m_y, m_x, :, i_y, i_x] = weight[:, :, :, k_y, k_x].transpose(2, 0, 1)
    return rows.reshape(-1, BANKS, total)


def dense_rows(weight: np.ndarray, shape: tuple[int, int, int], channels: range, outputs: range,
               total: int) -> np.ndarray:
    """Return the rows of dense synapses, ``int8[H * W * channels * state_rows, 9, total]``.

    Parameters
    ----------
    weight
        ``int[No, C * H * W]`` in C order.
    shape
        ``(C, H, W)``; a vector is ``(N, 1, 1)``.
    channels
        Input channels.
    outputs
        Output neurons; the last row is filled with zeros.
    total
        Lanes of all clusters.
    """
    groups = -(-len(outputs) // (BANKS * total))
    full = np.zeros((groups * BANKS * total, len(channels), *shape[1:]), np.int8)
    part = weight[outputs.start:outputs.stop].reshape(len(outputs), *shape)
    full[:len(outputs)] = part[:, channels.start:channels.stop]
    return full.transpose(2, 3, 1, 0).reshape(-1, BANKS, total)


def _leaks(decay, spec):
    """Return the ``leak`` fields of decays."""
    return (DECAY_ONE - decay) % (1 << spec.state_bits)


def parameter_sets(spec: MegaSpec, node: Lif, bias: np.ndarray) -> np.ndarray:
    """Return the parameters of each channel (of each neuron of a vector), ``int64[len(PARAMETERS), C]``.

    Parameters
    ----------
    bias
        Bias of each channel, with those of the synapses.
    """
    def of(name):
        return np.broadcast_to(getattr(node, name), node.shape[:1])

    synapse = _leaks(of("synapse_decay"), spec) if node.cuba else np.zeros(node.shape[0], np.int64)
    return np.stack([of("threshold"), _leaks(of("decay"), spec), bias, of("reset_value"), synapse])


def initial_sets(spec: MegaSpec, initial: np.ndarray) -> np.ndarray:
    """Return the sets of an INIT that fills: everything is above the threshold and is reset."""
    sets = np.zeros((len(PARAMETERS), len(initial)), np.int64)
    sets[PARAMETERS.index("threshold")] = -(1 << spec.state_bits - 1)
    sets[PARAMETERS.index("reset_value")] = initial
    return sets


def parameter_rows(spec: MegaSpec, sets: np.ndarray) -> np.ndarray:
    """Return the rows that hold parameter sets, ``int8[sets * parameter_rows, 9, total_lanes]``.

    Parameters
    ----------
    sets
        ``int64[len(PARAMETERS), n]``; set ``k`` serves lanes from ``k * total_lanes``. Missing neurons
        get the highest threshold and no bias, so that they never spike.
    """
    total, width = spec.total_lanes, spec.state_bits
    count = -(-sets.shape[1] // total)
    full = np.zeros((len(PARAMETERS), count * total), np.int64)
    full[PARAMETERS.index("threshold")] = (1 << width - 1) - 1
    full[:, :sets.shape[1]] = sets
    if not spec.cuba:
        full = full[:-1]
    bits = (full[:, :, None] >> np.arange(width)) & 1  # [parameter, neuron, bit]
    bits = bits.transpose(1, 0, 2).reshape(count, total, -1)
    rows, size = spec.parameter_rows, BANKS * spec.weight_bits
    padded = np.zeros((count, total, rows * size), np.int64)
    padded[:, :, :bits.shape[2]] = bits
    taps = padded.reshape(count, total, rows, BANKS, spec.weight_bits)
    values = (taps << np.arange(spec.weight_bits)).sum(-1)
    values -= (values >> spec.weight_bits - 1) << spec.weight_bits
    return values.transpose(0, 2, 3, 1).reshape(-1, BANKS, total).astype(np.int8)


def external_words(rows: np.ndarray) -> np.ndarray:
    """Return weight rows as words of the external memory, ``uint32[rows * ceil(9 * total / 4)]``.

    A byte per weight, tap-major, four to a word, lowest first; each row begins with a new word.
    """
    flat = rows.reshape(len(rows), -1).view(np.uint8)
    padded = np.zeros((len(rows), -(-flat.shape[1] // 4) * 4), np.uint8)
    padded[:, :flat.shape[1]] = flat
    return padded.reshape(-1).view("<u4").astype(np.uint32)

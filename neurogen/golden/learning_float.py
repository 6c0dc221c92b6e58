"""Trace propagation in floats and batches, as in the paper: what `golden.learning` approximates.

Student and target run side by side through the same weights. The student's first layer sees the inputs; the
target's sees the labels through one extra matrix of size classes times inputs of the layer. Pes, Yin,
Stuijk and Corradi, arXiv 2509.13053. In each step, for a batch of ``B`` samples:

============  ========================================================================
potential     ``v <- decay v + s_pre W - threshold s``        (``s``: the spikes of the step before)
spike         ``s = [v >= threshold]``
trace         ``e <- trace_decay e + s``                      (``e~``, likewise, of the target)
similarity    ``z[b, b'] = scale e_b . e~_b'``
loss          mean over ``b`` of the cross-entropy of ``softmax(z[b])`` and ``y[b]``
gradient      ``dL/dW = s_pre^T ((softmax(z) - y) e~ scale / B * psi(v - threshold))``
============  ========================================================================

``psi`` is the triangle ``max(0, 1 - |v - threshold| / width) / width``. The gradient takes what earlier
steps left behind as given, so that nothing is propagated through time, and flows through the student only.
``y`` is what the layer before finds alike: the softmax over its target traces (`trace_targets`); for the
first layer, samples of a label share it evenly (`label_targets`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


__all__ = ["FloatLayer", "FloatState", "initial_state", "label_targets", "softmax", "step", "trace_targets"]


@dataclass(frozen=True, eq=False)
class FloatLayer:
    """A layer; all potentials in the units of ``threshold``.

    Parameters
    ----------
    weight
        ``float[inputs, neurons]``.
    threshold, decay, trace_decay
        See the module.
    width
        Half the base of the triangle ``psi``.
    scale
        Of the similarity.
    """

    weight: np.ndarray
    threshold: float = 1.0
    decay: float = 0.9
    trace_decay: float = 0.75
    width: float = 1.0
    scale: float = 1.0


class FloatState(NamedTuple):
    """Potentials, spikes and traces of student or target, ``float[B, neurons]`` each."""

    v: np.ndarray
    s: np.ndarray
    e: np.ndarray


def initial_state(layer: FloatLayer, batch: int) -> FloatState:
    """Return the state before the first step."""
    return FloatState(*np.zeros((3, batch, layer.weight.shape[1])))


def softmax(z: np.ndarray) -> np.ndarray:
    """Return the softmax along the last axis."""
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def label_targets(labels: np.ndarray) -> np.ndarray:
    """Return ``y`` of the first layer, ``float[B, B]``: even among the samples of the same label."""
    same = (labels[:, None] == labels).astype(float)
    return same / same.sum(-1, keepdims=True)


def trace_targets(e_target: np.ndarray, scale: float) -> np.ndarray:
    """Return ``y`` of the next layer, ``float[B, B]``, from target traces of this one."""
    return softmax(scale * e_target @ e_target.T)


def _forward(layer: FloatLayer, state: FloatState, pre: np.ndarray) -> FloatState:
    v = layer.decay * state.v + pre @ layer.weight - layer.threshold * state.s
    s = (v >= layer.threshold).astype(float)
    return FloatState(v, s, layer.trace_decay * state.e + s)


def step(layer: FloatLayer, student: FloatState, target: FloatState, pre: np.ndarray, pre_target: np.ndarray,
         y: np.ndarray) -> tuple[FloatState, FloatState, float, np.ndarray]:
    """Run one step of student and target.

    Parameters
    ----------
    pre, pre_target
        Inputs of student and target, ``float[B, inputs]``.
    y
        Target distribution, ``float[B, B]``, rows sum to 1.

    Returns
    -------
    student, target, loss, gradient
        States after the step; mean cross-entropy; ``dL/dW``, ``float[inputs, neurons]``.
    """
    student, target = _forward(layer, student, pre), _forward(layer, target, pre_target)
    q = softmax(layer.scale * student.e @ target.e.T)
    loss = -(y * np.log(np.maximum(q, 1e-300))).sum(-1).mean()
    psi = np.maximum(0, 1 - np.abs(student.v - layer.threshold) / layer.width) / layer.width
    error = (q - y) @ target.e * (layer.scale / len(pre))
    return student, target, float(loss), pre.T @ (error * psi)

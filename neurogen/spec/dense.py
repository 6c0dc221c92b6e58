"""The integer contract of fully connected synapses."""

from dataclasses import dataclass

import numpy as np

from neurogen.spec.checks import check_array


__all__ = ["Dense", "DenseShape"]


class DenseShape:
    """Shapes of all-to-all synapses with ``weight``, whatever its numbers are."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int]:
        """Return ``(No,)`` for events of a vector of shape ``(Ni,)``."""
        if shape != (self.weight.shape[1],):
            raise ValueError(f"Input of the dense layer must have shape "
                             f"({self.weight.shape[1]},), not {shape!r}")
        return (self.weight.shape[0],)


@dataclass(frozen=True, kw_only=True, eq=False)
class Dense(DenseShape):
    """All-to-all synapses that turn events of a vector into currents of a vector.

    An event at ``i`` adds ``weight[o, i]`` to every output ``o``: ``No`` SOPs.

    Parameters
    ----------
    weight
        Integers, shape ``(No, Ni)``.
    bias
        Added to every neuron of the target in every step, in units of its ``V``; shape ``()`` or
        ``(No,)``.
    """

    weight: np.ndarray
    bias: np.ndarray = 0

    def __post_init__(self):
        object.__setattr__(self, "weight", check_array("Dense weight", self.weight, ndim=2))
        object.__setattr__(self, "bias", check_array(
            "Dense bias", self.bias, shapes=((), (self.weight.shape[0],))))

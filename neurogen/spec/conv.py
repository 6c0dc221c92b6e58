"""The integer contract of two-dimensional convolution over event streams."""

from dataclasses import dataclass

import numpy as np

from neurogen.spec.checks import check_array, check_choice, check_int


__all__ = ["Conv", "ConvShape"]


class ConvShape:
    """Shapes of a convolution with ``weight``, ``stride`` and ``padding``, whatever its numbers are."""

    @property
    def kernel(self) -> int:
        """Kernel size ``K``."""
        return self.weight.shape[2]

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return ``(Co, Ho, Wo)`` for events of a map of shape ``(Ci, H, W)``."""
        if len(shape) != 3 or shape[0] != self.weight.shape[1]:
            raise ValueError(f"Input of the convolution must have {self.weight.shape[1]} channels, "
                             f"not shape {shape!r}")
        size = [(n + 2 * p - self.kernel) // self.stride + 1
                for n, p in zip(shape[1:], self.padding, strict=True)]
        if min(size) < 1:
            raise ValueError(f"Input of a {self.kernel}x{self.kernel} convolution must be at least "
                             f"as large as its kernel, not {shape!r}")
        return (self.weight.shape[0], *size)


@dataclass(frozen=True, kw_only=True, eq=False)
class Conv(ConvShape):
    """A convolution (cross-correlation, PyTorch's convention) that turns events into currents.

    An event at ``(ci, y, x)`` adds ``weight[co, ci, ky, kx]`` to every output ``(co, oy, ox)`` inside
    the map with ``oy * stride + ky == y + padding[0]`` and ``ox * stride + kx == x + padding[1]``.
    Each such addition is one SOP, whether or not the weight is zero.

    Parameters
    ----------
    weight
        Integers, shape ``(Co, Ci, K, K)`` with ``K`` in 1, 3, 5, 7.
    stride
        1 or 2.
    padding
        Zero padding ``(vertical, horizontal)``, or one integer for both; 0 to ``K - 1``.
    bias
        Added to every neuron of the target in every step, in units of its ``V``; shape ``()`` or
        ``(Co,)``.
    """

    weight: np.ndarray
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    bias: np.ndarray = 0

    def __post_init__(self):
        object.__setattr__(self, "weight", check_array("Convolution weight", self.weight, ndim=4))
        kernel = self.weight.shape[2:]
        if kernel[0] != kernel[1]:
            raise ValueError(f"Kernel must be square, not {kernel!r}")
        check_choice("Kernel size", kernel[0], (1, 3, 5, 7))
        check_choice("Stride", self.stride, (1, 2))
        padding = self.padding
        if not isinstance(padding, tuple | list):
            padding = (padding, padding)
        padding = tuple(check_int("Padding", p, minimum=0, maximum=kernel[0] - 1) for p in padding)
        object.__setattr__(self, "padding", padding)
        object.__setattr__(self, "bias", check_array(
            "Convolution bias", self.bias, shapes=((), (self.weight.shape[0],))))

"""The integer contract of operations on event streams: pooling, flattening, concatenation."""

from dataclasses import dataclass

from neurogen.spec.checks import check_int


__all__ = ["Concat", "Flatten", "MaxPool", "SumPool"]


@dataclass(frozen=True, kw_only=True)
class SumPool:
    """Sum over windows of ``size x size``: an event at ``(c, y, x)`` becomes one at ``(c, y//k, x//k)``.

    Rows and columns that do not fill a window are dropped, as in PyTorch.

    Parameters
    ----------
    size
        Window and stride ``k``, at least 1.
    """

    size: int

    def __post_init__(self):
        check_int("Pool size", self.size, minimum=1)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return ``(C, H // k, W // k)`` for a map of shape ``(C, H, W)``."""
        if len(shape) != 3 or min(shape[1:]) < self.size:
            raise ValueError(f"Input of a pool of size {self.size} must be a map that holds a "
                             f"window, not {shape!r}")
        return (shape[0], shape[1] // self.size, shape[2] // self.size)


@dataclass(frozen=True, kw_only=True)
class MaxPool(SumPool):
    """Logical OR over windows: like `SumPool`, but repeats within a step are dropped.

    Parameters
    ----------
    size
        Window and stride ``k``, at least 1.
    """


@dataclass(frozen=True, kw_only=True)
class Flatten:
    """A map as a vector, in C order: ``(c, y, x)`` becomes ``(c * H + y) * W + x``."""

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int]:
        """Return the shape of the vector."""
        size = 1
        for n in shape:
            size *= n
        return (size,)


@dataclass(frozen=True, kw_only=True)
class Concat:
    """Several streams side by side along the first axis, in the order of the edges."""

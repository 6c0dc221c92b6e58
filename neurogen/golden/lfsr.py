"""Many states of the random register of `neurogen.spec.learning` at once."""

from functools import cache

import numpy as np

from neurogen.spec.learning import lfsr_next


__all__ = ["advance", "random_numbers"]


@cache
def _jump(log2: int) -> np.ndarray:
    """Return ``uint32[4, 256]``: what each byte of a state becomes after ``2**log2`` words."""
    if log2 == 0:
        return np.array([[lfsr_next(value << 8 * byte) for value in range(256)] for byte in range(4)],
                        np.uint32)
    half = _jump(log2 - 1)
    return np.stack([_apply(half, row) for row in half])


def advance(states: np.ndarray, log2: int) -> np.ndarray:
    """Return the states ``2**log2`` words after ``states``, ``uint32[n]``."""
    return _apply(_jump(log2), states)


def _apply(table: np.ndarray, states: np.ndarray) -> np.ndarray:
    # The register is linear over GF(2): a state's future is that of its bytes, added without carries.
    return (table[0][states & 255] ^ table[1][states >> 8 & 255] ^ table[2][states >> 16 & 255]
            ^ table[3][states >> 24])


def random_numbers(state: int, count: int) -> tuple[np.ndarray, int]:
    """Return the register's states for the next ``count`` words, ``uint32[count]``, and the one after."""
    states, log2 = np.array([state], np.uint32), 0
    while len(states) <= count:
        states = np.concatenate((states, advance(states, log2)))
        log2 += 1
    return states[:count], int(states[count])

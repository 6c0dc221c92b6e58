"""State widths and guard bands of quantised populations."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from neurogen.frontend.graph import FloatNetwork
from neurogen.spec.lif import DECAY_ONE, Lif, Reset
from neurogen.spec.network import Network


__all__ = ["Fit", "QuantisationError", "decayed"]


_STEPS = 16  # steps of the largest input that a state without an equilibrium must hold


class QuantisationError(ValueError):
    """A float network that the integer contract cannot keep; the message names the node."""


def decayed(value: int, decay: np.ndarray) -> int:
    """Return the largest of a non-negative value after decay."""
    return value * int(np.max(decay)) >> 12


def _equilibrium(value, decay):
    """Return what a state that gains ``value`` in every step decays to, or 16 steps' worth."""
    factor = int(np.max(decay))
    limit = _STEPS * value
    return min(limit, value * factor // (DECAY_ONE - factor)) if factor < DECAY_ONE else limit


class Fit:
    """The search for the width and the guard band of one population.

    Parameters
    ----------
    nodes
        Of the integer network; those of populations that come later are placeholders.
    network
        The float network, for its edges.
    name
        Of the population.
    fields
        Arguments of its `Lif` but for the width and the guard band.
    clamp
        Lower clamp of V after the decay, or ``None``.
    guard
        Thresholds by which V may leave the range below the threshold.
    band
        A given guard band, or ``None``.
    saturate
        Whether a population that a given width cannot hold may clip its additions.
    """

    def __init__(self, nodes: Mapping, network: FloatNetwork, name: str, fields: Mapping, clamp: int | None,
                 guard: float, band: Mapping | None, saturate: bool = False):
        self.nodes, self.network, self.name = nodes, network, name
        self.fields, self.clamp, self.guard, self.band = fields, clamp, guard, band
        self.saturate = saturate

    def choose(self, bits: int | str) -> tuple[Lif, int | None]:
        """Return the `Lif` of a width, or of the smallest, and the smallest comfortable width."""
        comfortable = next((b for b in range(4, 33) if self._lif(b, self.guard)), None)
        if bits == "auto":
            if comfortable is None:
                instead = ", or one spike per step" if any(
                    self.network.nodes[name].multi_spike for name in self.network.populations) else ""
                raise QuantisationError(f"Node {self.name!r}: no state width up to 32 bits holds its "
                                        f"potentials; use fewer fraction or weight bits{instead}")
            return self._lif(comfortable, self.guard), comfortable
        lif = self._lif(bits, None)
        if lif is None and self.saturate:
            lif = self._clipping(bits)
        if lif is None:
            smallest = next((b for b in range(bits, 33) if self._lif(b, None)), None)
            instead = f"at least {smallest} bits" if smallest else "above 32 bits"
            raise QuantisationError(f"Node {self.name!r}: state width must be {instead} for its weights and "
                                    f"thresholds, not {bits}; use fewer fraction or weight bits, or "
                                    f"state_bits='auto'")
        return lif, comfortable

    def _plain(self, bits, **more):
        """Return the population in ``bits`` bits without a guard band, ``None`` if a parameter is wider."""
        top = (1 << (bits - 1)) - 1
        fields = {"threshold": np.int64(top), **self.fields}
        if any(np.max(np.abs(fields[key])) > top for key in ("threshold", "bias", "reset_value", "initial")):
            return None
        try:
            return Lif(**fields, state_bits=bits, v_lo=0, v_hi=0, **more)
        except ValueError as error:
            raise QuantisationError(f"Node {self.name!r}: {error}") from None

    def _clipping(self, bits):
        """Return the population with clipped additions, all of its range as its guard band, or ``None``."""
        lif, top = self._plain(bits, saturate=True), (1 << (bits - 1)) - 1
        if lif is None:
            return None
        band = {"v_lo": -top - 1, "v_hi": top} | ({"i_lo": -top - 1, "i_hi": top} if lif.cuba else {})
        if self.clamp is not None:
            band["v_lo"] = max(band["v_lo"], self.clamp)
        return replace(lif, **(self.band or band))

    def _lif(self, bits, guard):
        """Return the population in ``bits`` bits, or ``None``; without ``guard``, the tightest fit."""
        lif, top = self._plain(bits), (1 << (bits - 1)) - 1
        if lif is None:
            return None
        if self.band is not None:
            return self._given(lif, top)
        proof = Network(self.nodes | {self.name: lif}, self.network.edges,
                        self.network.outputs).proof(self.name)
        high = self._side(lif, proof.positive, top - proof.positive, guard, 1)
        low = self._side(lif, -proof.negative, top + 1 + proof.negative, guard, -1)
        if high is None or low is None:
            return None
        return replace(lif, v_hi=high[0], i_hi=high[1], v_lo=-low[0], i_lo=-low[1])

    def _given(self, lif, top):
        if any(not -top - 1 <= value <= top for value in self.band.values()):
            return None
        lif = replace(lif, **self.band)
        network = Network(self.nodes | {self.name: lif}, self.network.edges, self.network.outputs)
        return lif if network.proof(self.name).bits <= lif.state_bits else None

    def _side(self, lif, step, room, guard, sign):
        """Return the guards of V and I on one side as magnitudes, or ``None`` if there is no room.

        ``step`` is the largest input of a step and ``room`` what it leaves; ``sign`` is the side's.
        """
        initial = max(0, int((sign * lif.initial).max()))
        current_full = current_least = 0
        if lif.cuba:
            current_least = max(decayed(step, lif.synapse_decay), initial)
            current_full = max(_equilibrium(step, lif.synapse_decay), initial)
        least, full = self._potentials(lif, step + current_full, guard or 1.0, sign)
        least = max(least, 0 if lif.cuba else initial)
        full = max(least, full)
        if guard is not None:
            current_least, least = current_full, full
        if sign < 0 and self.clamp is not None:
            least = full = -self.clamp
        if room < least + current_least:
            return None
        current = min(current_full, max(current_least, room - full))
        potential = room - current
        return (-self.clamp if sign < 0 and self.clamp is not None else potential), current

    def _potentials(self, lif, step, guard, sign):
        """Return the least and the comfortable magnitude of V after a step, on one side."""
        equilibrium = _equilibrium(step, lif.decay)
        if lif.reset is Reset.NONE:
            return decayed(step, lif.decay), equilibrium
        after = max(0, int((sign * lif.reset_value).max())) if lif.reset is Reset.ZERO else 0
        threshold = int(lif.threshold.max())
        below = max(decayed(threshold - 1 if sign > 0 else threshold, lif.decay), after)
        if sign > 0 and (lif.reset is Reset.ZERO or lif.multi_spike):
            return below, below  # nothing stays above the threshold
        if sign < 0:
            below = max(after, min(below, equilibrium))
        return below, max(below, min(int(guard * threshold), equilibrium))
